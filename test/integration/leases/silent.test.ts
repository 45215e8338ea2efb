import { afterEach, beforeEach, expect, it } from 'vitest';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { createWorld, type WorldDescription } from '../../support/world.ts';
import { type Care, openCare } from './care.ts';

/** Requests that a server leaves unanswered cost ten seconds each: here the transport says at once what it would say then. */
const silentFor =
  (...endings: readonly string[]) =>
  (real: Transport): Transport => ({
    ...real,
    exchange: async (request) => {
      if (!endings.some((ending) => request.path.endsWith(ending))) return real.exchange(request);
      asked.push(request.path);
      throw new VaultError('vault_timeout', 'Vault did not answer in time.', { processed: 'maybe' });
    },
  });
const RENEW = 'sys/leases/renew';
const LOOKUP_SELF = 'auth/token/lookup-self';
const COUNT = 30;

let described: WorldDescription;
let asked: string[];
let care: Care;
const opened: Care[] = [];

beforeEach(async () => {
  asked = [];
  described = await createWorld({ shards: 1 });
  care = openCare(described);
  opened.push(care);
  for (let n = 0; n < COUNT; n += 10) await Promise.all(Array.from({ length: 10 }, () => care.issue()));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ world }) => world.close()));
});

it('a Vault that hangs is not held against any lease, and is not asked for each in turn', async () => {
  const worker = openCare(described, { clock: care.clock, transport: silentFor(RENEW, LOOKUP_SELF) });
  opened.push(worker);

  const report = await worker.visit(0);

  expect(report).toMatchObject({ renewed: [], failed: 0, lost: 0, told: 0, left: COUNT });
  // Eight are under way at once, and the client tries each five times.
  expect(asked.filter((path) => path.endsWith(RENEW)).length).toBeLessThan(2 * COUNT);
  expect(worker.world.published).toEqual([]);
  // Once it answers again, and the claims are over, all are renewed.
  care.clock.now += 130_000;
  expect((await care.visit(0)).renewed).toHaveLength(COUNT);
});

it('an engine that hangs is held against its own leases: Vault does answer', async () => {
  const worker = openCare(described, { clock: care.clock, transport: silentFor(RENEW) });
  opened.push(worker);

  const report = await worker.visit(0);

  expect(report).toMatchObject({ failed: COUNT, left: 0, told: COUNT });
  expect(new Set(worker.world.published.map(({ type }) => type))).toEqual(new Set(['lease.renewal_failing']));
});
