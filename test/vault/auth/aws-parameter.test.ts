import { createServer, type IncomingMessage } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { readAwsParameter } from '../../../lib/vault/auth/aws-parameter.ts';
import { listening } from '../../support/listening.ts';

/** What the extension answers for a parameter: the JSON of AWS's GetParameter. */
const answerOf = (value: string) =>
  JSON.stringify({
    Parameter: { Name: '/lk/scan', Type: 'SecureString', Value: value, Version: 3 },
    ResultMetadata: {},
  });

const servers: AsyncDisposable[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]();
});

/** A stand-in for the extension, which runs on Lambda only. */
async function extension(status: number, body: string) {
  const requests: IncomingMessage[] = [];
  const server = await listening(
    createServer((request, response) => {
      requests.push(request);
      response.writeHead(status).end(body);
    }),
  );
  servers.push(server);
  const read = (name = '/lk/scan') =>
    readAwsParameter({ name, port: server.port, sessionToken: new Secret('session-token') });
  return { read, requests };
}

describe('a parameter of AWS Systems Manager', () => {
  it('is read decrypted, through the extension, with the function’s own session token', async () => {
    const { read, requests } = await extension(200, answerOf('hunter2'));
    const value = await read('/lk/prod one/scan');
    expect(value.expose()).toBe('hunter2');
    expect(String(value)).toBe('[secret]');
    expect(requests).toHaveLength(1);
    expect(requests[0]?.method).toBe('GET');
    const asked = new URL(requests[0]?.url ?? '', 'http://localhost');
    expect(asked.pathname).toBe('/systemsmanager/parameters/get');
    expect(Object.fromEntries(asked.searchParams)).toEqual({
      name: '/lk/prod one/scan',
      withDecryption: 'true',
    });
    expect(requests[0]?.headers['x-aws-parameters-secrets-token']).toBe('session-token');
  });

  it.each([
    [400, 'hunter2', 'HTTP 400'],
    [401, '', 'HTTP 401'],
    [500, 'hunter2', 'HTTP 500'],
    [200, 'hunter2', 'another form'],
    [200, '{"Parameter":{"Value":["hunter2"]}}', 'another form'],
    [200, '{}', 'another form'],
  ])('cannot be read from %s %s', async (status, body, reason) => {
    const { read } = await extension(status, body);
    const error: unknown = await read().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'identity_unreadable', message: expect.stringContaining(reason) });
    expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toMatch(/hunter2|session-token/);
  });

  it('cannot be read where there is no extension, and Vault is not blamed', async () => {
    const server = await listening(createServer());
    await server[Symbol.asyncDispose]();
    const reading = readAwsParameter({ name: '/lk/scan', port: server.port, sessionToken: new Secret('t') });
    await expect(reading).rejects.toMatchObject({
      code: 'identity_unreadable',
      message: 'The parameter /lk/scan cannot be read (no connection).',
      hint: expect.stringContaining('extension'),
    });
  });
});
