import type { SQSEvent } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { eventIn } from '../../lib/bus/envelope.ts';
import type { LeasekeeperEvent } from '../../lib/bus/events.ts';
import { createInMemoryBus, type InMemoryBusOptions, type QueueWorker } from '../../lib/bus/in-memory.ts';
import type { Worker } from '../../lib/bus/routes.ts';
import { everyExample, examples } from './examples.ts';

const nothing = { batchItemFailures: [] };
const WORKERS: readonly Worker[] = ['renew', 'rotate', 'notify'];

function eventsIn(batch: SQSEvent): LeasekeeperEvent[] {
  return batch.Records.map(({ body }) => eventIn(JSON.parse(body)));
}

/** A bus with all workers, and what each of them was handed. */
function busWith(
  handlers: Partial<Record<Worker, QueueWorker>> = {},
  options: Partial<InMemoryBusOptions> = {},
) {
  const handed: [Worker, LeasekeeperEvent][] = [];
  const errors: [Worker, unknown][] = [];
  const bus = createInMemoryBus({ onError: (error, worker) => errors.push([worker, error]), ...options });
  for (const worker of WORKERS) {
    bus.connect(worker, async (batch) => {
      for (const event of eventsIn(batch)) handed.push([worker, event]);
      return handlers[worker]?.(batch) ?? nothing;
    });
  }
  return {
    bus,
    handed,
    errors,
    typesTo: (worker: Worker) => handed.flatMap(([to, { type }]) => (to === worker ? [type] : [])),
  };
}

/** Something that happens when it is told to. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}

/** Lets everything that can go on do so. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('the bus of one process', () => {
  it('hands each event to the workers of the table, in the form of a queue message', async () => {
    const { bus, handed } = busWith();
    await bus.publish(everyExample);
    await bus.close();
    expect(handed.map(([worker, { type }]) => `${worker} ${type}`).toSorted()).toEqual(
      [
        'notify delivery.due',
        'notify lease.expiring',
        'notify lease.lost',
        'notify lease.renewal_failing',
        'notify secret.drift',
        'notify secret.removed',
        'notify secret.retire_failing',
        'notify secret.retire_overdue',
        'notify secret.retired',
        'notify secret.rotated',
        'notify secret.rotation_failed',
        'notify subscription.disabled',
        'notify subscription.failing',
        'notify subscription.test',
        'renew leases.due',
        'rotate lease.expiring',
        'rotate lease.lost',
        'rotate rotation.due',
      ].toSorted(),
    );
    for (const [, event] of handed) expect(everyExample).toContainEqual(event);
  });

  it('waits for nobody with a command', async () => {
    const work = gate();
    const { bus, typesTo } = busWith({ renew: () => work.opened.then(() => nothing) });
    const taken = await bus.publish([examples['leases.due']]);
    expect(taken).toEqual(new Set(['evt_leases']));
    await settled();
    expect(typesTo('renew')).toEqual(['leases.due']);
    work.open();
    await bus.close();
  });

  it('queues a command once while the same one waits, and again once it is at work', async () => {
    const work = gate();
    const { bus, handed } = busWith({ renew: () => work.opened.then(() => nothing) }, { parallel: 1 });
    const due = (shard: number, id: string) => ({
      ...examples['leases.due'],
      id,
      data: { ...examples['leases.due'].data, shard },
    });
    await bus.publish([due(1, 'first')]);
    await settled();
    await bus.publish([due(1, 'second'), due(1, 'third'), due(2, 'other-shard')]);
    await bus.publish([due(1, 'fourth')]);
    work.open();
    await settled();
    await bus.close();
    expect(handed.map(([, { id }]) => id)).toEqual(['first', 'second', 'other-shard']);
  });

  it('has no more commands at work than it may', async () => {
    const work = gate();
    const { bus, handed } = busWith({ renew: () => work.opened.then(() => nothing) }, { parallel: 2 });
    const due = [1, 2, 3].map((shard) => ({
      ...examples['leases.due'],
      data: { ...examples['leases.due'].data, shard },
    }));
    await bus.publish(due);
    await settled();
    expect(handed).toHaveLength(2);
    work.open();
    await settled();
    expect(handed).toHaveLength(3);
    await bus.close();
  });

  it('takes an outcome only when all its workers are done with it', async () => {
    const work = gate();
    const { bus, typesTo } = busWith({ rotate: () => work.opened.then(() => nothing) });
    let taken: ReadonlySet<string> | undefined;
    const published = bus.publish([examples['lease.lost']]).then((ids) => {
      taken = ids;
    });
    await settled();
    expect(typesTo('notify')).toEqual(['lease.lost']);
    expect(taken).toBeUndefined();
    work.open();
    await published;
    expect(taken).toEqual(new Set(['evt_lost']));
  });

  it('does not take an outcome that one of its workers failed on, and tells of it', async () => {
    const fault = new Error('the agenda cannot be written');
    const { bus, errors } = busWith({ rotate: () => Promise.reject(fault) });
    const taken = await bus.publish([examples['lease.lost'], examples['secret.rotated']]);
    expect(taken).toEqual(new Set(['evt_rotated']));
    expect(errors).toEqual([['rotate', fault]]);
  });

  it('does not take an outcome that a worker hands back', async () => {
    const { bus } = busWith({
      notify: async ({ Records }) => ({
        batchItemFailures: Records.map(({ messageId }) => ({ itemIdentifier: messageId })),
      }),
    });
    expect(await bus.publish([examples['secret.rotated']])).toEqual(new Set());
  });

  it('does not take an outcome for which a worker is missing', async () => {
    const bus = createInMemoryBus({ onError: () => {} });
    expect(await bus.publish([examples['secret.rotated']])).toEqual(new Set());
  });

  it('tells of a command that failed, and goes on', async () => {
    const fault = new Error('no connection');
    const { bus, errors, typesTo } = busWith({ renew: () => Promise.reject(fault) });
    await bus.publish([examples['leases.due']]);
    await settled();
    await bus.publish([examples['leases.due']]);
    await bus.close();
    expect(errors).toEqual([
      ['renew', fault],
      ['renew', fault],
    ]);
    expect(typesTo('renew')).toHaveLength(2);
  });

  it('shows every event to who watches', async () => {
    const seen: string[] = [];
    const { bus } = busWith({}, { onEvent: ({ type }) => seen.push(type) });
    await bus.publish([examples['leases.due'], examples['secret.rotated']]);
    await bus.close();
    expect(seen).toEqual(['leases.due', 'secret.rotated']);
  });

  it('closes when the commands at work are done, and starts none of those that wait', async () => {
    const work = gate();
    const { bus, handed } = busWith({ renew: () => work.opened.then(() => nothing) }, { parallel: 1 });
    const due = [1, 2].map((shard) => ({
      ...examples['leases.due'],
      data: { ...examples['leases.due'].data, shard },
    }));
    await bus.publish(due);
    await settled();
    let closed = false;
    const closing = bus.close().then(() => {
      closed = true;
    });
    await settled();
    expect(closed).toBe(false);
    work.open();
    await closing;
    await bus.publish(due);
    await settled();
    expect(handed).toHaveLength(1);
  });
});
