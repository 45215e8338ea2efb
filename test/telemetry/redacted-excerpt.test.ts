import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { redactedExcerpt } from '../../lib/telemetry/redacted-excerpt.ts';

/** No credential of anybody's. In pieces where it would look like one to whoever scans a repository. */
const CANARY = 'Qz7Kx2Lm9Pw4Rt6Yv8Bn3Cd5';
const base64 = Buffer.from(`user:${CANARY}`).toString('base64');
const jwt = ['eyJhbGciOiJSUzI1NiJ9', `eyJzdWIiOiJ${CANARY}`, `sig-${CANARY}`].join('.');

describe('takes out', () => {
  it.each([
    ['a token of Vault', `denied for hvs.${CANARY}`],
    ['a batch token of Vault', `hvb.${CANARY}_-x is not allowed`],
    ['a token of Vault that is cut off', `denied for hvs.${CANARY.slice(0, 9)}`],
    ['a token of OpenBao', `{"error":"s.${CANARY} denied"}`],
    ['a token of OpenBao in a namespace', `s.${CANARY}.xYz12`],
    ['a signing secret', `expected whsec_${CANARY}+/=`],
    ['a key of NVIDIA', `key nvapi-${CANARY}-x_y refused`],
    ['a key id of AWS', `by AKIA${CANARY.slice(0, 16).toUpperCase()}`],
    ['a token of GitHub', `remote: gh${'p_'}${CANARY}`],
    ['a token of GitLab', `glpat-${CANARY}`],
    ['a token of Slack', `xox${'b-'}1-${CANARY}`],
    ["a webhook's address of Slack", `https://hooks.slack.com/services/T0/B0/${CANARY}`],
    ['a key of Stripe', `sk_${'live_'}${CANARY}`],
    ['a JWT', `token ${jwt} has expired`],
    ['a JWT after an underscore', `x_${jwt}`],
    ['an encrypted JWT', `${jwt}.${CANARY}.${CANARY}`],
    ['a bearer token', `got Bearer ${CANARY}`],
    ['a bearer token in capitals', `BEARER ${CANARY}`],
    ['a name and password in base64', `Basic ${base64}`],
    ['a header', `Authorization: ApiKey ${CANARY}`],
    ['a short one in a header', 'Authorization: Bearer Qz7'],
    ['a header in JSON', `{"authorization":"Custom a=1, b=${CANARY}","x":1}`],
    ['cookies', `Cookie: a=${CANARY}; b=${CANARY}`],
    ['cookies that are set', `set-cookie: id=${CANARY}; Path=/`],
    ['an api key in a header', `X-Api-Key: ${CANARY}`],
    ['a token in a header', `x-vault-token: ${CANARY}`],
    ['a field of JSON', `{"password":"${CANARY}"}`],
    ['a field of JSON with spaces', `{ "password" : "correct ${CANARY} battery" }`],
    ['a field of JSON with a quote in it', `{"password":"a\\"${CANARY}"}`],
    ['a field of JSON that is cut off', `{"client_secret":"a ${CANARY}`],
    ['JSON in a string of JSON', `{"body":"{\\"token\\":\\"a b ${CANARY}\\"}"}`],
    ['a name in camel case', `{"accessToken":"${CANARY}","clientSecret":"${CANARY}"}`],
    ['a secret key of AWS', `aws_secret_access_key=${CANARY}/${CANARY}`],
    ['single quotes', `{'passwd': 'x ${CANARY}'}`],
    ['a form', `user=a&password=${CANARY}&x=1`],
    ['a log', `pwd=${CANARY}, user=x`],
    ['XML', `<secret>${CANARY}</secret>`],
    ['a hash of Ruby', `"api_key" => "${CANARY}"`],
    ['a number', '{"password": 4711472}'],
    ["a session's id", `PHPSESSID=${CANARY}`],
    ['a password in a URL', `postgres://app:${CANARY}@db.example.com/x`],
    ['a password with an @ in a URL', `postgres://app:a@${CANARY}@db.example.com/x`],
    ['a password without a name in a URL', `redis://:${CANARY}@cache:6379`],
    ['a token as the name in a URL', `https://${CANARY}@git.example.com`],
    ['a password in a URL that is cut off', `cannot connect to amqp://app:${CANARY}`],
    ['a signed URL', `https://x.example.com/a?X-Amz-Signature=${CANARY}&b=1`],
    ['a key in a URL', `https://x.example.com/a?key=${CANARY}`],
    ['a private key', `-----BEGIN RSA PRIVATE KEY----- ${CANARY} ${CANARY} -----END RSA PRIVATE KEY-----`],
    ['a private key that is cut off', `-----BEGIN PRIVATE KEY----- ${CANARY} ${CANARY}`],
    ['the signature of a notice', `expected v1,${CANARY}${CANARY.slice(0, 19)}= but`],
  ])('%s', (_what, text) => {
    const shown = redactedExcerpt(text);

    expect(shown).toContain('[secret]');
    for (const part of [
      CANARY,
      CANARY.slice(0, 9),
      CANARY.slice(0, 16).toUpperCase(),
      base64,
      'Qz7',
      '4711472',
    ])
      expect(shown).not.toContain(part);
  });

  it('only that', () => {
    expect(redactedExcerpt(`{"error":"denied","token":"${CANARY}","request":"4bf92f35"}`)).toBe(
      '{"error":"denied","token":"[secret]","request":"4bf92f35"}',
    );
    expect(redactedExcerpt(`no route to postgres://app:${CANARY}@db.example.com:5432/x`)).toBe(
      'no route to postgres://[secret]@db.example.com:5432/x',
    );
  });
});

describe('leaves', () => {
  it.each([
    '',
    'ok',
    '{"ok":true,"received":"evt_uHnBEe4rY004UWq5RTup_65Q9Op"}',
    '<html><head><title>502 Bad Gateway</title></head><body><center>nginx/1.27.4</center></body></html>',
    'invalid token',
    'The token has expired; the secret was not found.',
    'Signature verification failed: no matching signature found',
    'Basic authentication is required',
    'Bearer token missing; use Bearer authentication.',
    'WWW-Authenticate: Basic realm="hooks"',
    'request 4bf92f3577b34da6a3ce929d0e0e4736 failed, see 7b6fd8a2-3d1e-4a58-9c1e-0d8a2b0f5c11',
    'commit 19b3c97d2f8e6a4b0c5d7e9f1a3b5c7d9e0f2a4b',
    'cannot reach http://hooks.svc.local:8080',
    'cannot reach http://hooks.svc.local:8080.',
    '{"url":"http://[::1]:8080/hooks"}',
    '{"upstream":"http://hooks.svc.local:8080"}',
    'mail ops@example.com, or see https://example.com/help?code=404&page=2',
    'tokenizer: fast, keyboard: qwerty, monkey=banana',
    'cluster a.b.us-east-1.example.com is down; docs.example.com/faq',
    'versions v1,v2,v3 are there',
    '{"type":"secret.rotated","timestamp":"2026-11-21T12:00:00.000Z","data":{"name":"api-token","generation":4,"path":"api-gateway/token","consumers":["api-gateway"],"reason":"schedule"}}',
  ])('%s', (text) => {
    expect(redactedExcerpt(text)).toBe(text);
  });
});

/** Pieces that every pattern begins with, goes on with or ends with. */
const pieces = fc.constantFrom(
  ...[
    'eyJ',
    'a',
    '.',
    '-',
    '_',
    ':',
    '=',
    '=>',
    '>',
    '/',
    '://',
    '@',
    '"',
    "'",
    '\\',
    '\\"',
    ' ',
    ';',
    '&',
    '?',
    '9',
  ],
  ...['token', 'secret', 'api_key', 'password', 'authorization', 'cookie', 'key', 'sig', 'hvs.', 's.', 'sk_'],
  ...[
    'Bearer ',
    'Basic ',
    'v1,',
    'whsec_',
    'hooks.slack.com/services/',
    '-----BEGIN ',
    'PRIVATE KEY-----',
    '-----END ',
  ],
);
/** As long as an excerpt; often the same piece again and again. */
const adversarial = fc.oneof(
  fc.array(pieces, { maxLength: 256 }).map((all) => all.join('')),
  fc.tuple(pieces, pieces, pieces).map((all) => all.join('').repeat(256)),
  fc.tuple(pieces, pieces).map(([first, then]) => first + then.repeat(256)),
);
const excerpt = adversarial.map((text) => text.slice(0, 256));

describe('whatever comes', () => {
  // A pattern that goes back again and again would not come to an end within the time that a test has.
  it('comes to an end', () => {
    fc.assert(
      fc.property(excerpt, (text) => {
        expect(redactedExcerpt(text)).toBeTypeOf('string');
      }),
      { numRuns: 5_000 },
    );
  });

  it('takes a token out wherever it stands', () => {
    fc.assert(
      fc.property(excerpt, excerpt, (before, after) => {
        expect(redactedExcerpt(`${before} hvs.${CANARY} ${after}`)).not.toContain(CANARY);
      }),
      { numRuns: 2_000 },
    );
  });
});
