import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readApiEnvironment } from '../../../lib/cli/remote/api-environment.ts';

const token = { VAULT_TOKEN: 'hvs.x' };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-api-'));
});
afterAll(() => rm(folder, { recursive: true }));

const refused = (code: string, said = '') =>
  expect.objectContaining({ code, message: expect.stringContaining(said) });

describe('LEASEKEEPER_URL', () => {
  it('left out or blank: Vault is spoken to', async () => {
    expect(await readApiEnvironment(token)).toBeUndefined();
    expect(await readApiEnvironment({ ...token, LEASEKEEPER_URL: '  ' })).toBeUndefined();
  });

  it.each([
    ['https://abc.execute-api.eu-central-1.amazonaws.com', '', undefined],
    ['https://proxy.example.com:8443/leasekeeper/', '/leasekeeper', 'https://proxy.example.com:8443'],
    ['http://127.0.0.1:8280', '', undefined],
    ['http://127.9.9.9:8280', '', undefined],
    ['http://[::1]:8280', '', undefined],
    ['http://localhost:8280', '', undefined],
  ])('%s will do', async (url, prefix, origin = url) => {
    expect(await readApiEnvironment({ ...token, LEASEKEEPER_URL: url })).toMatchObject({ origin, prefix });
  });

  it.each([
    'http://leasekeeper.example.com',
    'http://10.0.0.1:8280',
    'http://0.0.0.0:8280',
    'http://[::]:8280',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
  ])('%s would send the token in the clear', async (url) => {
    await expect(readApiEnvironment({ ...token, LEASEKEEPER_URL: url })).rejects.toEqual(
      refused('api_url_insecure'),
    );
    const allowed = { ...token, LEASEKEEPER_URL: url, LEASEKEEPER_ALLOW_HTTP: 'true' };
    expect(await readApiEnvironment(allowed)).toMatchObject({ origin: new URL(url).origin });
    const not = { ...allowed, LEASEKEEPER_ALLOW_HTTP: 'false' };
    await expect(readApiEnvironment(not)).rejects.toEqual(refused('api_url_insecure'));
  });

  it.each([
    'leasekeeper.example.com',
    'localhost:8280',
    'ftp://x.example.com',
    'https://ada:canary@x.example.com',
    'https://canary@x.example.com',
    'https://x.example.com/?key=canary',
    'https://x.example.com/#canary',
  ])('%s will not, and is not repeated', async (url) => {
    const error = await readApiEnvironment({ ...token, LEASEKEEPER_URL: url }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toEqual(refused('configuration_invalid', 'LEASEKEEPER_URL: expected https://host'));
    expect(String(error)).not.toContain('canary');
  });
});

describe('who it is', () => {
  const url = { LEASEKEEPER_URL: 'https://x.example.com' };
  const proofOf = async (more: Readonly<Record<string, string>>) =>
    (await readApiEnvironment({ ...url, ...more }))?.proof;

  it('a token, which comes before a JWT', async () => {
    const proof = await proofOf({ VAULT_TOKEN: ' hvs.x ', VAULT_JWT: 'a.b.c' });
    expect(proof?.kind === 'token' && proof.token.expose()).toBe('hvs.x');
  });

  it('a JWT, from a variable or a file, with its role and mount', async () => {
    const file = path.join(folder, 'jwt');
    await writeFile(file, 'd.e.f\n');
    const one = await proofOf({ VAULT_JWT: 'a.b.c', VAULT_ROLE: 'operators' });
    const other = await proofOf({ VAULT_JWT_FILE: file, VAULT_ROLE: 'ops', VAULT_AUTH_MOUNT: 'ci/jwt' });

    expect(one).toMatchObject({ kind: 'jwt', role: 'operators' });
    expect(one?.kind === 'jwt' && one.jwt.expose()).toBe('a.b.c');
    expect(other).toMatchObject({ kind: 'jwt', role: 'ops', mount: 'ci/jwt' });
    expect(other?.kind === 'jwt' && other.jwt.expose()).toBe('d.e.f');
  });

  it.each([
    [{}, 'vault_token_missing', 'VAULT_JWT_FILE'],
    [{ VAULT_JWT: 'a.b.c' }, 'configuration_invalid', 'VAULT_ROLE'],
    [{ VAULT_JWT: 'a.b.c', VAULT_ROLE: 'a/b' }, 'configuration_invalid', 'VAULT_ROLE'],
    [
      { VAULT_JWT: 'a.b.c', VAULT_ROLE: 'r', VAULT_AUTH_MOUNT: '../x' },
      'configuration_invalid',
      'VAULT_AUTH_MOUNT',
    ],
    [{ VAULT_TOKEN: 'hvs.canary\r\nx: y' }, 'configuration_invalid', 'VAULT_TOKEN: expected one word'],
    [{ VAULT_JWT_FILE: '/nowhere/jwt' }, 'credential_file_unreadable', '/nowhere/jwt'],
    [{ VAULT_TOKEN: 'x', LEASEKEEPER_ALLOW_HTTP: 'yes' }, 'configuration_invalid', 'LEASEKEEPER_ALLOW_HTTP'],
    [{ VAULT_TOKEN: 'x', LEASEKEEPER_CACERT: '/nowhere/ca' }, 'configuration_invalid', '/nowhere/ca'],
  ])('%j will not do', async (more, code, said) => {
    const error = await proofOf(more).catch((thrown: unknown) => thrown);
    expect(error).toEqual(refused(code, said));
    expect(String(error)).not.toContain('canary');
  });
});
