import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { freePorts } from '../../../lib/host/local/free-port.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { createTransport, type Transport } from '../../../lib/vault/transport.ts';
import { admin, adminOf, uniqueName } from '../../support/admin.ts';
import { type OwnServer, startOwnServer } from '../../support/own-server.ts';
import { type Standby, startStandby } from '../../support/standby.ts';
import { until } from '../../support/until.ts';

let own: OwnServer;
let standby: Standby;
const closing: VaultClient[] = [];
const once = { attempts: 1 };
const patient = { attempts: 50, capMs: 200 };

beforeAll(async () => {
  const { openbao: binary } = inject('binaries');
  own = await startOwnServer(binary);
  standby = await startStandby({ binary, leader: own.current().address, sealKeyFile: own.sealKeyFile });
  await adminOf(own.current()).request('POST', 'sys/mounts/state', { type: 'kv', options: { version: '2' } });
  // At a standby a mount that was just made is unknown at first, and then not ready, which is waited for as at the leader.
  const [leader, follower] = [own.current().address, standby.address].map((address) => {
    const client = new VaultClient({ transport: createTransport({ address }), retry: patient });
    closing.push(client);
    return new KvStore(actingWith(client, new Secret(own.current().rootToken)), 'state');
  });
  await leader?.write('ready', {}, 0);
  await until(async () => (await follower?.read('ready'))?.version === 1);
});
afterAll(async () => {
  await Promise.all(closing.map((client) => client.close()));
  await standby.stop();
  await own.stop();
});

function vaultAt(address: string, token: string, transport: (real: Transport) => Transport = (real) => real) {
  const client = new VaultClient({ transport: transport(createTransport({ address })), retry: once });
  closing.push(client);
  return actingWith(client, new Secret(token));
}

const health = { method: 'GET', path: 'sys/mounts', repeatable: true } as const;

describe('faults are told apart', () => {
  it('refused: by policy, by a bad token, and where there is no mount', async () => {
    const { address, read } = admin(inject);
    const schema = z.object({ auth: z.object({ client_token: z.string() }) });
    const { auth } = await read(schema, 'POST', 'auth/token/create', { policies: ['default'] });
    for (const token of ['no-such-token', auth.client_token]) {
      await expect(vaultAt(address, token).request(health)).rejects.toMatchObject({
        code: 'vault_denied',
        status: 403,
      });
    }
    const root = vaultAt(address, inject('openbao').rootToken);
    await expect(root.request({ ...health, path: 'no/such/mount' })).rejects.toMatchObject({
      code: 'vault_not_found',
    });
  });

  it('unreachable: nobody listens there', async () => {
    const [port = 0] = await freePorts(1);
    await expect(vaultAt(`http://127.0.0.1:${port}`, 'x').request(health)).rejects.toMatchObject({
      code: 'vault_unreachable',
      processed: 'no',
      reasons: ['ECONNREFUSED'],
    });
  });
});

describe('behind a load balancer', () => {
  /** Writes go to the leader, reads to the standby, as a balancer may have it. */
  const balanced = (reader: Transport, strip: boolean) => (writer: Transport) => ({
    exchange: (request: Parameters<Transport['exchange']>[0]) => {
      const { 'x-vault-index': _, 'x-vault-inconsistent': __, ...plain } = request.headers;
      const headers = strip ? plain : request.headers;
      return (request.method === 'GET' ? reader : writer).exchange({ ...request, headers });
    },
    close: async () => {
      await Promise.all([reader.close(), writer.close()]);
    },
  });

  /** How many of these reads did not show what had been written before. */
  async function staleReads(strip: boolean, tries: number): Promise<number> {
    const { address, rootToken } = own.current();
    const reader = createTransport({ address: standby.address });
    const store = new KvStore(vaultAt(address, rootToken, balanced(reader, strip)), 'state');
    const path = uniqueName('key');
    let stale = 0;
    for (let version = 0; version < tries; version += 1) {
      await store.write(path, { version }, version);
      if ((await store.read(path)).version !== version + 1) stale += 1;
    }
    return stale;
  }

  it('a read at a standby shows what we wrote; without the headers it would not', async () => {
    expect(await staleReads(false, 200)).toBe(0);
    let stale = 0;
    for (let rounds = 0; rounds < 10 && stale === 0; rounds += 1) stale += await staleReads(true, 100);
    expect(stale).toBeGreaterThan(0);
  });

  it('what one node has shown, another does not take back, though nothing was written by us', async () => {
    const { address, rootToken } = own.current();
    const writer = new KvStore(vaultAt(address, rootToken), 'state');
    const reader = createTransport({ address: standby.address });
    const alternating = (leader: Transport): Transport => {
      let reads = 0;
      return {
        exchange: (request) => (reads++ % 2 === 0 ? leader : reader).exchange(request),
        close: async () => {
          await Promise.all([reader.close(), leader.close()]);
        },
      };
    };
    const store = new KvStore(vaultAt(address, rootToken, alternating), 'state');
    const path = uniqueName('key');
    for (let version = 1; version <= 150; version += 1) {
      await writer.write(path, { version }, version - 1);
      const [atLeader, atStandby] = [await store.read(path), await store.read(path)];
      expect([atLeader.version, atStandby.version]).toEqual([version, version]);
    }
  });
});

// The last of the file: it leaves the server sealed.
describe('a sealed Vault', () => {
  it('is told from one that cannot be reached', async () => {
    const { address, rootToken } = own.current();
    const vault = vaultAt(address, rootToken, (real) => ({
      ...real,
      exchange: async (request) => {
        await own.seal();
        return real.exchange(request);
      },
    }));
    await expect(vault.request(health)).rejects.toMatchObject({ code: 'vault_sealed', status: 503 });
    await expect(new KvStore(vault, 'state').write('a', {}, 0)).rejects.toMatchObject({
      code: 'vault_sealed',
    });
  });
});
