import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scanFunction } from '../../../functions/scan.ts';
import type { Bus } from '../../../lib/bus/bus.ts';
import { localContext } from '../../../lib/host/local/lambda-invocation.ts';
import type { ScanDependencies } from '../../../lib/leases/scan.ts';
import { createEmfMetrics } from '../../../lib/telemetry/emf-metrics.ts';
import { createLogger } from '../../../lib/telemetry/log.ts';
import { createWorld, openWorld, TEST_POLICY, type World } from '../../support/world.ts';
import { type EmfDocument, parseEmf } from '../../telemetry/metrics-harness.ts';

const LAST_SCAN = 'leasekeeper_last_scan_timestamp_seconds';
let world: World;

beforeAll(async () => {
  world = openWorld(await createWorld());
  // Something is due, so that there is something to publish.
  await world.rotations.add({ id: 'app-database', due: 1, for: 1 });
});
afterAll(() => world.close());

const taking: Bus = { publish: async (events) => new Set(events.map(({ id }) => id)) };
const away: Bus = { publish: () => Promise.reject(new Error('EventBridge took none of the events.')) };

/** What one scan writes on Lambda, whatever comes of it. */
async function documentsOf(changes: Pick<ScanDependencies, 'bus'> & Partial<ScanDependencies>) {
  const documents: EmfDocument[] = [];
  const metrics = createEmfMetrics({ service: 'scan', write: (line) => documents.push(parseEmf(line)) });
  const { leases, rotations, deliveries } = world;
  const dependencies = {
    leases,
    rotations,
    deliveries,
    metrics,
    policy: TEST_POLICY,
    now: Date.now,
    ...changes,
  };
  const scan = scanFunction({
    dependencies: () => dependencies,
    logger: createLogger({ level: 'silent', name: 'test' }),
    flushMetrics: () => metrics.flush(),
    now: Date.now,
  });
  const failed = await scan({}, localContext('scan')).then(
    () => false,
    () => true,
  );
  return { documents, failed };
}

describe('a scan on Lambda', () => {
  it('writes when it was, under its service alone, so that a scan that is missing can be alarmed on', async () => {
    const before = Date.now() / 1_000;
    const { documents, failed } = await documentsOf({ bus: taking });
    expect(failed).toBe(false);
    const last = documents.filter((document) => LAST_SCAN in document);
    expect(last).toHaveLength(1);
    expect(last[0]).toMatchObject({ service: 'scan', [LAST_SCAN]: expect.any(Number) });
    expect(Number(last[0]?.[LAST_SCAN])).toBeGreaterThanOrEqual(before);
    expect(last[0]?._aws.CloudWatchMetrics[0]?.Dimensions).toEqual([['service']]);
    const books = documents.flatMap((document) =>
      'leasekeeper_agenda_oldest_overdue_seconds' in document ? [document.book] : [],
    );
    expect(books.toSorted()).toEqual(['deliveries', 'leases', 'rotations']);
  });

  it('writes no such thing when nobody was told of what is due', async () => {
    const { documents, failed } = await documentsOf({ bus: away });
    expect(failed).toBe(true);
    expect(documents.filter((document) => LAST_SCAN in document)).toEqual([]);
  });

  it('writes no such thing when a book could not be read', async () => {
    const elsewhere = openWorld({ ...world, stateMount: 'absent' });
    const { deliveries } = elsewhere;
    const { documents, failed } = await documentsOf({ bus: taking, deliveries });
    await elsewhere.close();
    expect(failed).toBe(true);
    expect(documents.filter((document) => LAST_SCAN in document)).toEqual([]);
  });
});
