import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import * as z from 'zod';
import { readConfig } from '../../../lib/host/config.ts';
import { identityOf } from '../../../lib/host/identities.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { AWS_FUNCTION_ENVIRONMENT, startAwsStore } from '../../support/aws-store-server.ts';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '../../..');
const { request, read, address, rootToken } = admin(inject);
const REGION = 'eu-west-1';
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-bundled-'));
  await run(process.execPath, [
    path.join(root, 'scripts/bundle.mjs'),
    '--outdir',
    folder,
    'functions/fetch.ts',
  ]);
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

describe('the bundle of fetch', () => {
  it('reads a secret from Vault, through the parts of undici that it has', async () => {
    const namespace = uniqueName('bundled');
    await request('POST', `sys/mounts/${namespace}/app`, { type: 'kv', options: { version: '2' } });
    // More than one packet, and letters of more than one byte.
    const value = 'ä'.repeat(50_000);
    await request('POST', `${namespace}/app/data/key`, { data: { value } });
    const event = {
      version: '2.0',
      rawPath: '/v1/secrets/app/key',
      headers: { 'x-vault-token': rootToken },
      requestContext: { requestId: 'request-1', http: { method: 'GET', path: '/v1/secrets/app/key' } },
    };
    const program = `
      const { handler } = await import(${JSON.stringify(pathToFileURL(path.join(folder, 'fetch/index.mjs')).href)});
      const { statusCode, body } = await handler(${JSON.stringify(event)}, { awsRequestId: 'lambda-1' });
      const { data, version } = JSON.parse(body);
      console.log(JSON.stringify({ statusCode, version, length: data?.value.length }));
      process.exit();`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], {
      env: {
        VAULT_ADDR: address,
        VAULT_NAMESPACE: namespace,
        LEASEKEEPER_APPROLE_PARAMETER: '/lk/fetch',
        AWS_REGION: REGION,
      },
    });
    const lines = stdout.trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toEqual({ statusCode: 200, version: 1, length: 50_000 });
    expect(stdout).not.toContain('ää');
    expect(stdout).not.toContain(rootToken);
  });
});

describe.each([
  ['Systems Manager', 'LEASEKEEPER_APPROLE_PARAMETER'],
  ['Secrets Manager', 'LEASEKEEPER_APPROLE_SECRET'],
])('a function whose AppRole credentials are in AWS %s', (_, variable) => {
  afterEach(() => void vi.unstubAllEnvs());

  it('logs in with them, and with new ones once they were replaced', async () => {
    const mount = uniqueName('approle');
    await request('POST', `sys/auth/${mount}`, { type: 'approle' });
    const role = `auth/${mount}/role/scan`;
    await request('POST', role, { token_policies: ['default'], token_ttl: '5m' });
    const idSchema = z.object({ data: z.object({ role_id: z.string() }) });
    const secretIdSchema = z.object({ data: z.object({ secret_id: z.string() }) });
    const { role_id } = (await read(idSchema, 'GET', `${role}/role-id`)).data;
    const newSecretId = async () =>
      (await read(secretIdSchema, 'POST', `${role}/secret-id`, {})).data.secret_id;
    let secret_id = await newSecretId();
    await using aws = await startAwsStore(REGION);
    for (const [name, value] of Object.entries(AWS_FUNCTION_ENVIRONMENT)) vi.stubEnv(name, value);
    const keep = () => aws.texts.set('/lk/scan', JSON.stringify({ role_id, secret_id }));
    keep();
    const config = readConfig({
      VAULT_ADDR: address,
      LEASEKEEPER_AUTH_MOUNT: mount,
      [variable]: '/lk/scan',
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL: aws.url,
    });
    const transport = createTransport({ address });
    const client = new VaultClient({ transport });
    const method = identityOf(config, 'scan');
    expect(await method.login(client)).toMatchObject({ ttlSeconds: 300, token: expect.any(String) });

    await request('POST', `${role}/secret-id/destroy`, { secret_id });
    await expect(method.login(client)).rejects.toMatchObject({ code: expect.stringMatching(/^vault_/) });
    secret_id = await newSecretId();
    keep();
    expect(await method.login(client)).toMatchObject({ ttlSeconds: 300 });
    await transport.close();
  });
});
