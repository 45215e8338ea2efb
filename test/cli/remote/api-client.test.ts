import { expect, it, onTestFinished } from 'vitest';
import * as z from 'zod';
import type { CallerProof } from '../../../lib/access/proof.ts';
import { ApiClient } from '../../../lib/cli/remote/api-client.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { receiveHttp } from '../../notices/receiver.ts';

const schema = z.object({ word: z.string() });
const TOKEN: CallerProof = { kind: 'token', token: new Secret('hvs.x') };

interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A server that gives these answers in turn, the last one again and again; undefined: none at all. And a client of it. */
async function clientOf(answers: readonly (Answer | undefined)[], proof = TOKEN, longestWaitMs?: number) {
  const asked: {
    readonly line: string;
    readonly headers: Readonly<Record<string, unknown>>;
    readonly body: string;
  }[] = [];
  const { port } = await receiveHttp(async (request, response) => {
    const body = (await request.toArray()).join('');
    const answer = answers[Math.min(asked.length, answers.length - 1)];
    asked.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
    if (answer !== undefined)
      response.writeHead(answer.status, answer.headers).end(JSON.stringify(answer.body ?? { word: 'here' }));
  });
  const transport = createTransport({ address: `http://127.0.0.1:${port}` });
  onTestFinished(() => transport.close());
  const waits: number[] = [];
  const client = new ApiClient({
    transport,
    prefix: '/behind',
    proof,
    deadlineMs: 2_000,
    wait: async (ms) => waits.push(ms),
    ...(longestWaitMs === undefined ? {} : { longestWaitMs }),
  });
  return { client, asked, waits };
}

const GET = { method: 'GET', path: '/v1/x' } as const;
const turnedAway = (code: string, after?: string): Answer => ({
  status: 429,
  headers: after === undefined ? {} : { 'retry-after': after },
  body: { type: 'urn:x', title: 'x', status: 429, detail: 'x', code, request_id: 'r' },
});
const GATEWAY: Answer = { status: 429, body: { message: 'Too Many Requests' } };

it('asks as a token', async () => {
  const { client, asked } = await clientOf([{ status: 200 }]);
  const query = { after: 'a&b', left: undefined };
  expect(await client.ask({ ...GET, query }, schema)).toEqual({ word: 'here' });
  expect(await client.ask({ method: 'POST', path: '/v1/y', body: { a: 1 } }, schema)).toEqual({
    word: 'here',
  });

  expect(asked).toMatchObject([
    { line: 'GET /behind/v1/x?after=a%26b', body: '', headers: { 'x-vault-token': 'hvs.x' } },
    { line: 'POST /behind/v1/y', body: '{"a":1}', headers: { 'content-type': 'application/json' } },
  ]);
  expect(Object.keys(asked[0]?.headers ?? {})).not.toContain('authorization');
});

it('asks as a JWT with its role, and with its mount if one is said', async () => {
  const proof: CallerProof = { kind: 'jwt', jwt: new Secret('a.b.c'), role: 'ops' };
  const { client, asked } = await clientOf([{ status: 200 }], proof);
  await client.ask(GET, schema);
  const elsewhere = await clientOf([{ status: 200 }], { ...proof, mount: 'ci/jwt' });
  await elsewhere.client.ask(GET, schema);

  expect(asked[0]?.headers).toMatchObject({ authorization: 'Bearer a.b.c', 'x-vault-role': 'ops' });
  expect(Object.keys(asked[0]?.headers ?? {})).not.toContain('x-vault-auth-mount');
  expect(elsewhere.asked[0]?.headers).toMatchObject({ 'x-vault-auth-mount': 'ci/jwt' });
});

it('leaves out of an answer what it does not know', async () => {
  const { client } = await clientOf([{ status: 200, body: { word: 'here', later: 1 } }]);
  expect(await client.ask(GET, schema)).toEqual({ word: 'here' });
});

it.each([
  ['the rate of callers', turnedAway('caller_rate_exceeded', '7'), 7_000],
  ['a gateway, for at least a second', { ...GATEWAY, headers: { 'retry-after': '0' } }, 1_000],
  ['a gateway that says not for how long', GATEWAY, 1_000],
])('waits when it is turned away by %s, also with a change', async (_who, answer, ms) => {
  const { client, asked, waits } = await clientOf([answer, answer, { status: 200 }]);
  expect(await client.ask({ ...GET, method: 'POST' }, schema)).toEqual({ word: 'here' });
  expect([asked.length, waits]).toEqual([3, [ms, ms]]);
});

it('waits no longer than it may, all told', async () => {
  const { client, asked, waits } = await clientOf([turnedAway('caller_rate_exceeded', '2')], TOKEN, 5_000);
  await expect(client.ask(GET, schema)).rejects.toMatchObject({
    code: 'caller_rate_exceeded',
    hint: 'It asks to be left alone for 2 s.',
  });
  expect([asked.length, waits]).toEqual([3, [2_000, 2_000]]);
});

it.each([
  [
    'a quota of Vault, which may have ended it halfway',
    turnedAway('vault_rate_limited', '1'),
    'vault_rate_limited',
  ],
  ['503', { status: 503, headers: { 'retry-after': '1' } }, 'api_unavailable'],
])('does not ask again after %s', async (_what, answer, code) => {
  const { client, asked, waits } = await clientOf([answer]);
  await expect(client.ask({ ...GET, method: 'POST' }, schema)).rejects.toMatchObject({ code });
  expect([asked.length, waits]).toEqual([1, []]);
});

it('waits for no answer for ever', async () => {
  const { client } = await clientOf([undefined]);
  await expect(client.ask(GET, schema)).rejects.toMatchObject({
    code: 'api_timeout',
    message: 'Leasekeeper did not answer GET /v1/x in time.',
    hint: expect.not.stringContaining('may have been done'),
  });
  await expect(client.send({ ...GET, method: 'DELETE' })).rejects.toMatchObject({
    code: 'api_timeout',
    hint: expect.stringContaining('may have been done all the same'),
  });
});

it('looks without judging the status', async () => {
  const { client } = await clientOf([{ status: 503 }, { status: 404, body: { message: 'Not Found' } }]);
  expect(await client.look('/healthz', schema)).toEqual({ word: 'here' });
  expect(await client.look('/healthz', schema)).toBeUndefined();
});
