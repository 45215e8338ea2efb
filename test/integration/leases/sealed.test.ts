import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { adminOf } from '../../support/admin.ts';
import { type OwnServer, startOwnServer } from '../../support/own-server.ts';
import type { WorldDescription } from '../../support/world.ts';
import { type Care, openCare } from './care.ts';

const MINUTE = 60_000;
const POLICY = { scanIntervalMs: MINUTE, lookAheadMs: 70_000 };
let own: OwnServer;

beforeAll(async () => {
  own = await startOwnServer(inject('binaries').openbao);
});
afterAll(() => own.stop());

async function bareWorld(): Promise<WorldDescription> {
  const { address, rootToken } = own.current();
  const { request } = adminOf(own.current());
  await request('POST', 'sys/mounts/state', { type: 'kv', options: { version: '2' } });
  await request('POST', 'state/config', { cas_required: true, max_versions: 2 });
  const postgres = { host: '127.0.0.1', port: 1, database: 'none' };
  return { address, rootToken, namespace: '', stateMount: 'state', rolePrefix: 'none', postgres };
}

describe('when Vault is sealed in the middle of a visit', () => {
  it('nothing is told and nothing is lost; once it is back, all are renewed', async () => {
    const described = await bareWorld();
    const care = openCare(described, { policy: POLICY });
    await care.world.leases.create(1);
    const clock = care.clock;
    const tokens = await Promise.all(Array.from({ length: 12 }, () => care.token()));
    // A lease that is gone: while Vault is sealed, even that must not be told.
    const gone = { ...lease(care), id: 'database/creds/app/gone', expire: clock.now + 59 * MINUTE };
    await care.world.leases.add(gone);
    const renewed: Promise<unknown>[] = [];
    const worker = openCare(described, {
      policy: POLICY,
      clock,
      transport: (real) => ({
        ...real,
        exchange: async (request) => {
          if (!request.path.endsWith('renew-accessor') && renewed.length < 3) return real.exchange(request);
          if (renewed.length < 3) {
            const answer = real.exchange(request);
            renewed.push(answer);
            return answer;
          }
          await Promise.all(renewed);
          await own.seal();
          return real.exchange(request);
        },
      }),
    });
    await expect(worker.visit(0)).rejects.toMatchObject({ code: 'vault_sealed' });
    await expect(worker.scanAndVisit()).rejects.toMatchObject({ code: 'vault_sealed' });
    expect([...worker.told(), ...care.told()]).toEqual([]);
    await Promise.all([worker.world.close(), care.world.close()]);

    const { address } = await own.restart();
    const back = openCare({ ...described, address }, { policy: POLICY, clock });
    // The claims of the broken visit run out first.
    clock.now += 3 * MINUTE;
    await back.visit(0);
    const [shard] = await back.world.leases.scan();
    expect(shard?.entries.map(({ id }) => id).sort()).toEqual(tokens.map(({ id }) => id).sort());
    for (const { expire } of shard?.entries ?? []) expect(expire).toBe(clock.now + 60 * MINUTE);
    expect(back.told()).toEqual(['lease.lost']);
    await back.world.close();
    // A request that is under way when OpenBao is sealed may wait for its answer until it times out, and is then repeated.
  }, 180_000);
});

function lease(care: Care) {
  const times = { due: care.clock.now, issue: care.clock.now, ttl: 3_600 };
  return { kind: 'lease' as const, ns: '', path: 'database/creds/app', consumer: 'api-gateway', ...times };
}
