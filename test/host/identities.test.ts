import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readConfig } from '../../lib/host/config.ts';
import { identityOf } from '../../lib/host/identities.ts';
import { VaultClient } from '../../lib/vault/client.ts';
import { createTransport } from '../../lib/vault/transport.ts';
import { AWS_FUNCTION_ENVIRONMENT, startAwsStore } from '../support/aws-store-server.ts';

const VAULT_ADDR = 'http://127.0.0.1:1';
/** Nobody is behind this address: what is tested goes wrong before Vault is asked. */
const client = new VaultClient({ transport: createTransport({ address: VAULT_ADDR }) });
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-identities-'));
});
afterEach(() => void vi.unstubAllEnvs());
afterAll(async () => rm(folder, { recursive: true, force: true }));

async function fileWith(text: string): Promise<string> {
  const file = path.join(folder, 'approle.json');
  await writeFile(file, text);
  return file;
}

const MALFORMED = [
  'hunter2',
  '"hunter2"',
  '{"role_id":"hunter2"',
  '{"scan":{"role_id":"r","secret_id":["hunter2"]}}',
  '{"role_id":"r"}',
];

describe('the AppRole credentials of a function', () => {
  it.each(MALFORMED)('are refused from a file in another form, and not repeated: %s', async (text) => {
    const config = readConfig({ VAULT_ADDR, LEASEKEEPER_APPROLE_FILE: await fileWith(text) });
    const error: unknown = await identityOf(config, 'scan')
      .login(client)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'identity_unreadable' });
    expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toContain('hunter2');
  });

  describe.each([
    ['parameter', 'LEASEKEEPER_APPROLE_PARAMETER'],
    ['secret', 'LEASEKEEPER_APPROLE_SECRET'],
  ])('in a %s of AWS', (_, variable) => {
    it.each(MALFORMED)('are refused in another form, and not repeated: %s', async (text) => {
      await using aws = await startAwsStore('eu-west-1');
      for (const [name, value] of Object.entries(AWS_FUNCTION_ENVIRONMENT)) vi.stubEnv(name, value);
      aws.texts.set('/lk/scan', text);
      const config = readConfig({
        VAULT_ADDR,
        [variable]: '/lk/scan',
        AWS_REGION: 'eu-west-1',
        AWS_ENDPOINT_URL: aws.url,
      });
      const error: unknown = await identityOf(config, 'scan')
        .login(client)
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'identity_unreadable',
        message: expect.stringContaining('not in their form'),
      });
      expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toContain('hunter2');
    });
  });

  it('are missing for a function that the file does not name', async () => {
    const file = await fileWith('{"scan":{"role_id":"r","secret_id":"s"}}');
    const config = readConfig({ VAULT_ADDR, LEASEKEEPER_APPROLE_FILE: file });
    await expect(identityOf(config, 'renew').login(client)).rejects.toMatchObject({
      code: 'identity_missing',
      message: expect.stringContaining('renew'),
    });
  });
});
