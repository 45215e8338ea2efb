import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { issueDynamic } from '../../../lib/vault/secrets.ts';
import { createTransport, type Transport } from '../../../lib/vault/transport.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';
import { hintScenarios, playHints } from './hint-scenario.ts';
import { type LeaseScenario, leaseScenarios, playLeases } from './lease-scenario.ts';

/** The same schedules at every run, so that a change is judged by its own doing; PROPERTY_SEED=<number> plays others. */
const SEED = Number(process.env.PROPERTY_SEED ?? 20_261_121);

let world: World;
let real: Transport;
const pool: string[] = [];

beforeAll(async () => {
  world = openWorld(await createWorld());
  real = createTransport({ address: world.address });
});
afterAll(async () => {
  await real.close();
  await world.close();
});

const lease = async () =>
  pool.pop() ?? (await issueDynamic(world.vault, `${world.namespace}/database/creds/app`)).leaseId;

/**
 * The real book and the real renewal on the real server, one request at a time in an order that is chosen, with cut connections and
 * processes that die between any two requests. Several at once, each on a book of its own, because Vault waits for its disk.
 */
describe.concurrent('under any order of requests', () => {
  it.each([1, 2, 3, 4])('leases are never lost, doubled, brought back or overlooked (%i)', async (part) => {
    await check(leaseScenarios(false), leases, 26, part);
  });

  it.each([1, 2])('nor when processes sleep for an hour in the middle (%i)', async (part) => {
    await check(leaseScenarios(true), leases, 24, part);
  });

  it.each([1, 2, 3])('hints are never later than their documents (%i)', async (part) => {
    await check(hintScenarios(), (scenario) => playHints(world, real, scenario), 50, part);
  });
});

async function leases(scenario: LeaseScenario): Promise<void> {
  pool.push(...(await playLeases(world, real, lease, scenario)));
}

async function check<T>(
  scenarios: fc.Arbitrary<T>,
  play: (scenario: T) => Promise<void>,
  numRuns: number,
  part: number,
): Promise<void> {
  const seed = SEED + part;
  await fc.assert(fc.asyncProperty(scenarios, play), { numRuns, seed, interruptAfterTimeLimit: 50_000 });
}
