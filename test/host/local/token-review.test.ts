import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeJwt, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTokenReview, type TokenReviewServer } from '../../../lib/host/local/token-review.ts';

const ACCOUNT = { namespace: 'lotabots', name: 'api-gateway' };

describe('the stand-in for TokenReview', () => {
  let dataDir: string;
  let now = Date.now();
  let reviews: TokenReviewServer;

  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'leasekeeper-reviews-'));
    reviews = await startTokenReview({ dataDir, now: () => now });
  });
  afterAll(async () => {
    await reviews.stop();
    await rm(dataDir, { recursive: true });
  });

  const sign = async (changes: object = {}) => (await reviews.sign({ ...ACCOUNT, ...changes })).expose();
  async function post(
    body: unknown,
    bearer: string | undefined,
    where = '/apis/authentication.k8s.io/v1/tokenreviews',
  ) {
    const answer = await fetch(`${reviews.url}${where}`, {
      method: 'POST',
      headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer}` },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: answer.status, body: JSON.parse(await answer.text()) };
  }
  const review = async (token: string, audiences?: readonly string[]) =>
    (await post({ spec: { token, audiences } }, await sign())).body.status;

  it('says who a token is, and repeats the audiences it is for', async () => {
    expect(await review(await sign(), ['other', 'vault'])).toEqual({
      authenticated: true,
      user: {
        username: 'system:serviceaccount:lotabots:api-gateway',
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
        groups: ['system:serviceaccounts', 'system:serviceaccounts:lotabots', 'system:authenticated'],
      },
      audiences: ['vault'],
    });
  });

  it.each([
    ['another audience', async () => review(await sign({ audience: 'elsewhere' }), ['vault'])],
    [
      'a token without a signature',
      async () => review(new UnsecuredJWT(decodeJwt(await sign())).encode(), ['vault']),
    ],
    ['no token', () => review('x', ['vault'])],
  ])('does not accept %s', async (_what, status) => {
    expect(await status()).toEqual({ authenticated: false });
  });

  it('accepts a token until it expires', async () => {
    const token = await sign({ expiresInSeconds: 60 });
    now += 59_000;
    expect(await review(token, ['vault'])).toMatchObject({ authenticated: true });
    now += 2_000;
    expect(await review(token, ['vault'])).toEqual({ authenticated: false });
  });

  it('answers only who shows a valid token itself', async () => {
    const body = { spec: { token: await sign() } };
    expect((await post(body, undefined)).status).toBe(401);
    expect((await post(body, 'x')).status).toBe(401);
    expect((await post(body, await sign({ expiresInSeconds: -1 }))).status).toBe(401);
    expect((await post(body, await sign())).status).toBe(201);
  });

  it('refuses what is no TokenReview', async () => {
    const bearer = await sign();
    expect((await post('{', bearer)).status).toBe(400);
    expect((await post({ spec: {} }, bearer)).status).toBe(400);
    const large = { spec: { token: bearer }, padding: 'x'.repeat(70_000) };
    expect((await post(large, bearer)).status).toBe(400);
    expect((await post({}, bearer, '/api/v1/secrets')).status).toBe(404);
  });
});
