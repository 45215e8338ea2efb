import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { isOutcome, type Outcome } from '../../../lib/bus/events.ts';
import { createSigningSecret, headers, sign } from '../../../lib/notices/signature.ts';
import { everyExample } from '../../bus/examples.ts';
import { type PythonMissing, type PythonRunner, pythonWith } from '../../support/python-package.ts';

/** The official library for Python, from PyPI: https://github.com/standard-webhooks/standard-webhooks. It needs no other package. */
const OFFICIAL = {
  name: 'standardwebhooks',
  version: '1.1.0',
  sha256: '9a88d48a1f198be61517fc7ad328cf58ba02b73f0fbd8941d4213e9c0b6c2a61',
  module: 'standardwebhooks.webhooks',
};

/** Does what it is asked, each by itself, and answers in the same order. */
const PROGRAM = `
import json, sys
from datetime import datetime, timezone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

def verify(secret, headers, body):
    try:
        return {"value": Webhook(secret).verify(body.encode(), headers)}
    except WebhookVerificationError as error:
        return {"refused": str(error)}

def sign(secret, id, timestamp, body):
    return Webhook(secret).sign(id, datetime.fromtimestamp(timestamp, tz=timezone.utc), body)

asked = json.loads(sys.argv[1])
print(json.dumps([globals()[one.pop("do")](**one) for one in asked]))
`;

const WRONG_SIGNATURE = { refused: 'No matching signature found' };

interface Sent {
  readonly id: string;
  readonly body: string;
}

const nowSeconds = () => Math.floor(Date.now() / 1000);
const secretOf = (bytes: number) => `whsec_${randomBytes(bytes).toString('base64')}`;
const noticeOf = ({ id, type, time, data }: Outcome): Sent => ({
  id,
  body: JSON.stringify({ type, timestamp: time, data }),
});
const notices = everyExample.filter(isOutcome).map(noticeOf);
/** One that is longer in bytes than in characters. */
const worded: Sent = { id: 'evt_worded', body: JSON.stringify({ type: 'x', data: { name: 'é€😀 "\\"' } }) };
const [notice = worded] = notices;
const old = createSigningSecret(randomBytes);
const next = createSigningSecret(randomBytes);
const other = createSigningSecret(randomBytes);

const signed = ({ id, body }: Sent, secrets: readonly string[], timestampSeconds = nowSeconds()) =>
  headers({ id, body, secrets, timestampSeconds });

describe('the official library for Python', () => {
  let found: PythonRunner | PythonMissing;
  let python: PythonRunner;

  beforeAll(async () => {
    found = await pythonWith(OFFICIAL, process.env);
  }, 120_000);

  beforeEach(({ skip }) => {
    if ('missing' in found) skip(`not tried, ${found.missing}`);
    else python = found;
  });

  /** Every question in one process of Python. */
  async function ask<T>(answer: z.ZodType<T>, questions: readonly object[]): Promise<readonly T[]> {
    const answers = z.array(answer).parse(JSON.parse(await python(PROGRAM, JSON.stringify(questions))));
    expect(answers).toHaveLength(questions.length);
    return answers;
  }
  const verified = (secret: string, { body }: Sent, received: Record<string, string>) => ({
    do: 'verify',
    secret,
    body,
    headers: received,
  });
  const outcomesOf = (...questions: readonly object[]) =>
    ask(
      z.union([z.strictObject({ value: z.unknown() }), z.strictObject({ refused: z.string() })]),
      questions,
    );
  const accepted = ({ body }: Sent) => ({ value: JSON.parse(body) });

  it('is the one that is pinned, from where it was put', async () => {
    const program = 'import standardwebhooks as s; print(s.__version__, s.__file__)';
    expect(await python(program)).toMatch(
      /^1\.1\.0 .*\/standardwebhooks-1\.1\.0\/standardwebhooks\/__init__\.py\n$/,
    );
  });

  it('verifies every notice that is signed here', async () => {
    const all = [...notices, worded];
    expect(notices.length).toBeGreaterThan(10);
    expect(await outcomesOf(...all.map((one) => verified(old, one, signed(one, [old]))))).toEqual(
      all.map(accepted),
    );
  });

  it.each([24, 32, 64])('verifies with a secret of %d bytes', async (bytes) => {
    const secret = secretOf(bytes);
    expect(await outcomesOf(verified(secret, worded, signed(worded, [secret])))).toEqual([accepted(worded)]);
  });

  it('accepts the old secret and the new while they overlap, in either order, and no third', async () => {
    for (const both of [
      [next, old],
      [old, next],
    ]) {
      const received = signed(notice, both);
      expect(
        await outcomesOf(...[old, next, other].map((secret) => verified(secret, notice, received))),
      ).toEqual([accepted(notice), accepted(notice), WRONG_SIGNATURE]);
    }
  });

  it('refuses a wrong secret, and anything that was changed on the way', async () => {
    const received = signed(notice, [old]);
    const later = String(Number(received['webhook-timestamp']) + 1);
    expect(
      await outcomesOf(
        verified(other, notice, received),
        verified(old, { ...notice, body: `${notice.body} ` }, received),
        verified(old, worded, received),
        verified(old, notice, { ...received, 'webhook-id': 'evt_other' }),
        verified(old, notice, { ...received, 'webhook-timestamp': later }),
        verified(old, notice, received),
      ),
    ).toEqual([...Array.from({ length: 5 }, () => WRONG_SIGNATURE), accepted(notice)]);
  });

  it('refuses a timestamp that is more than five minutes off, and only that', async () => {
    const at = [-360, -240, 240, 360];
    const questions = at.map((off) => verified(old, notice, signed(notice, [old], nowSeconds() + off)));
    expect(await outcomesOf(...questions)).toEqual([
      { refused: 'Message timestamp too old' },
      accepted(notice),
      accepted(notice),
      { refused: 'Message timestamp too new' },
    ]);
  });

  it('signs as is signed here, and the official library for JavaScript accepts that', async () => {
    const all = [...notices, worded];
    const timestamp = nowSeconds();
    const signatures = await ask(
      z.string(),
      all.map(({ id, body }) => ({ do: 'sign', secret: old, id, timestamp, body })),
    );
    for (const [index, { id, body }] of all.entries()) {
      const signature = signatures[index] ?? '';
      const received = {
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signature,
      };
      expect(signature).toBe(sign({ id, body, timestampSeconds: timestamp, secrets: [old] }));
      expect(new Webhook(old).verify(body, received)).toEqual(JSON.parse(body));
      expect(() => new Webhook(other).verify(body, received)).toThrow('No matching signature found');
    }
  });

  it('verifies what the official library for JavaScript has signed', async () => {
    const at = new Date(nowSeconds() * 1000);
    const received = {
      'webhook-id': worded.id,
      'webhook-timestamp': String(at.getTime() / 1000),
      'webhook-signature': new Webhook(old).sign(worded.id, at, worded.body),
    };
    expect(await outcomesOf(verified(old, worded, received), verified(other, worded, received))).toEqual([
      accepted(worded),
      WRONG_SIGNATURE,
    ]);
  });
});
