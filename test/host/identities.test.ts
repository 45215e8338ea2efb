import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../lib/host/config.ts';
import { identityOf } from '../../lib/host/identities.ts';
import { VaultClient } from '../../lib/vault/client.ts';
import { createTransport } from '../../lib/vault/transport.ts';
import { listening } from '../support/listening.ts';

const VAULT_ADDR = 'http://127.0.0.1:1';
/** Nobody is behind this address: what is tested goes wrong before Vault is asked. */
const client = new VaultClient({ transport: createTransport({ address: VAULT_ADDR }) });
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-identities-'));
});
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

  it.each(MALFORMED)('are refused from a parameter in another form, and not repeated: %s', async (text) => {
    await using extension = await listening(
      createServer((_, response) => response.end(JSON.stringify({ Parameter: { Value: text } }))),
    );
    const config = readConfig({
      VAULT_ADDR,
      LEASEKEEPER_APPROLE_PARAMETER: '/lk/scan',
      AWS_SESSION_TOKEN: 'session',
      PARAMETERS_SECRETS_EXTENSION_HTTP_PORT: String(extension.port),
    });
    const error: unknown = await identityOf(config, 'scan')
      .login(client)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'identity_unreadable' });
    expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toContain('hunter2');
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
