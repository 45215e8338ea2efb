import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { checkSigningSecret, createSigningSecret, headers, sign } from '../../lib/notices/signature.ts';

const id = 'evt_01JD7ZQ8';
const body = JSON.stringify({
  type: 'secret.rotated',
  timestamp: '2026-11-21T00:00:00Z',
  data: { name: 'é€😀' },
});

/** The verifier accepts only what was signed within five minutes of its own clock. */
function signedNow(secrets: readonly string[], sent = { id, body }) {
  return headers({ ...sent, timestampSeconds: Math.floor(Date.now() / 1000), secrets });
}

const code = (expected: string) => expect.objectContaining({ code: expected });

describe('headers', () => {
  const secret = createSigningSecret(randomBytes);
  const verify = (key: string, text: string, received: Record<string, string>) =>
    new Webhook(key).verify(text, received);

  it('pass the official verifier', () => {
    expect(verify(secret, body, signedNow([secret]))).toEqual(JSON.parse(body));
  });

  it('pass it for any body, id and length of secret', () => {
    const key = fc
      .uint8Array({ minLength: 24, maxLength: 64 })
      .map((bytes) => `whsec_${Buffer.from(bytes).toString('base64')}`);
    const anyId = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
    fc.assert(
      fc.property(key, anyId, fc.json(), (anySecret, idOfEvent, json) => {
        const received = signedNow([anySecret], { id: idOfEvent, body: json });
        expect(verify(anySecret, json, received)).toEqual(JSON.parse(json));
      }),
    );
  });

  it('fail it when anything was changed', () => {
    const received = signedNow([secret]);
    const later = String(Number(received['webhook-timestamp']) + 1);

    expect(() => verify(secret, `${body} `, received)).toThrow(WebhookVerificationError);
    expect(() => verify(secret, body, { ...received, 'webhook-id': 'evt_other' })).toThrow(
      WebhookVerificationError,
    );
    expect(() => verify(secret, body, { ...received, 'webhook-timestamp': later })).toThrow(
      WebhookVerificationError,
    );
    expect(() => verify(createSigningSecret(randomBytes), body, received)).toThrow(WebhookVerificationError);
  });

  it('pass it with either secret while two overlap, and with neither else', () => {
    const next = createSigningSecret(randomBytes);
    const received = signedNow([next, secret]);

    expect(received['webhook-signature']).toMatch(/^v1,\S{44} v1,\S{44}$/);
    expect(verify(secret, body, received)).toEqual(JSON.parse(body));
    expect(verify(next, body, received)).toEqual(JSON.parse(body));
    expect(() => verify(createSigningSecret(randomBytes), body, received)).toThrow(WebhookVerificationError);
  });

  it('name the id and the time of the attempt', () => {
    expect(headers({ id, body, timestampSeconds: 1_700_000_000, secrets: [secret] })).toEqual({
      'webhook-id': id,
      'webhook-timestamp': '1700000000',
      'webhook-signature': sign({ id, body, timestampSeconds: 1_700_000_000, secrets: [secret] }),
    });
  });
});

describe('createSigningSecret', () => {
  it('encodes 32 bytes', () => {
    expect(createSigningSecret((size) => new Uint8Array(size))).toBe(`whsec_${'A'.repeat(43)}=`);
    expect(createSigningSecret(randomBytes)).not.toBe(createSigningSecret(randomBytes));
  });

  it('refuses a source that gives too little', () => {
    expect(() => createSigningSecret(() => new Uint8Array(8))).toThrow(code('signing_secret_invalid'));
  });
});

describe('sign', () => {
  const bytes = (size: number) => Buffer.alloc(size, 7).toString('base64');
  const good = `whsec_${bytes(32)}`;
  const signWith = (change: object) => () =>
    sign({ id, body, timestampSeconds: 1, secrets: [good], ...change });

  it.each([24, 64])('takes a secret of %d bytes', (size) => {
    expect(() => checkSigningSecret(`whsec_${bytes(size)}`)).not.toThrow();
  });

  it.each([
    ['no prefix', bytes(32)],
    ['another prefix', `whsk_${bytes(32)}`],
    ['the prefix in capitals', `WHSEC_${bytes(32)}`],
    ['23 bytes', `whsec_${bytes(23)}`],
    ['65 bytes', `whsec_${bytes(65)}`],
    ['nothing', ''],
    ['only a prefix', 'whsec_'],
    ['no padding', `whsec_${bytes(32).replace(/=+$/, '')}`],
    ['URL-safe base64', `whsec_${Buffer.alloc(33, 255).toString('base64url')}`],
    ['characters that are not base64', `whsec_${bytes(32).slice(0, -4)}*!*=`],
    ['white space at the end', `whsec_${bytes(32)}\n`],
  ])('refuses a secret with %s, and does not repeat it', (_what, secret) => {
    expect(signWith({ secrets: [good, secret] })).toThrow(code('signing_secret_invalid'));
    if (secret.length > 6) expect(signWith({ secrets: [secret] })).not.toThrow(secret);
  });

  it('refuses to send unsigned', () => {
    expect(signWith({ secrets: [] })).toThrow(code('signing_secret_missing'));
  });

  it.each(['', 'a.b', 'a b', 'a\r\nb', 'é', 'x'.repeat(257)])('refuses the id %j', (wrong) => {
    expect(signWith({ id: wrong })).toThrow(code('notice_id_invalid'));
  });

  it.each([1.5, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses the time %d', (wrong) => {
    expect(signWith({ timestampSeconds: wrong })).toThrow(code('notice_timestamp_invalid'));
  });
});
