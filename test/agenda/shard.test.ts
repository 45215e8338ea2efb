import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hintSchema } from '../../lib/agenda/hint.ts';
import {
  mergeMessages,
  mustBeLookedUp,
  type ReceivedMessage,
  TOMBSTONE_MS,
  withoutOldTombstones,
} from '../../lib/agenda/inbox.ts';
import { packShard, SHARD_CAP_BYTES, unpackShard } from '../../lib/agenda/shard.ts';
import { shardOf, spreadOf } from '../../lib/agenda/shard-of.ts';
import { leaseEntryOf } from '../../lib/leases/adopt.ts';
import { type CareEntry, careEntrySchema } from '../../lib/leases/entry.ts';

interface Entry {
  readonly id: string;
  readonly due: number;
}
const ids = fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor');
const entries = fc.record({ id: ids, due: fc.nat(9) }, { noNullPrototype: true });
const keep = (existing: Entry) => existing;
const stateOf = (all: readonly Entry[], gone: readonly (readonly [string, number])[] = []) => ({
  entries: new Map(all.map((one) => [one.id, one])),
  tombstones: new Map(gone),
});
const add = (name: string, entry: Entry, writtenAt = 0): ReceivedMessage<Entry> => ({
  name,
  writtenAt,
  message: { op: 'add', entry },
});
const remove = (name: string, id: string): ReceivedMessage<Entry> => ({
  name,
  writtenAt: 0,
  message: { op: 'remove', id },
});

describe('a shard in storage', () => {
  it('comes back as it was, tombstones and all', async () => {
    const hints = fc.array(
      fc.record({ id: fc.string(), due: fc.nat(), for: fc.nat() }, { noNullPrototype: true }),
    );
    await fc.assert(
      fc.asyncProperty(hints, fc.array(fc.tuple(ids, fc.nat())), async (all, gone) => {
        const state = { entries: new Map(all.map((one) => [one.id, one])), tombstones: new Map(gone) };
        const tombstones = new Map(gone.filter(([id]) => id !== '__proto__'));
        const back = await unpackShard(await packShard({ ...state, tombstones }), hintSchema);
        expect(back).toEqual({ entries: state.entries, tombstones });
      }),
    );
  });

  it('is empty when there is none, and an error when it is something else', async () => {
    expect(await unpackShard(undefined, hintSchema)).toEqual(stateOf([]));
    for (const data of [{}, { packed: 1 }, { packed: '' }, { packed: 'eJw=' }]) {
      await expect(unpackShard(data, hintSchema)).rejects.toMatchObject({ code: 'agenda_unreadable' });
    }
    const packed = await packShard({ entries: new Map([['a', { id: 'a', due: 1 }]]), tombstones: new Map() });
    await expect(unpackShard(packed, careEntrySchema)).rejects.toMatchObject({ code: 'agenda_unreadable' });
  });

  it('takes 100,000 leases in 32 shards with room to spare', async () => {
    const all = Array.from({ length: 3_125 }, (_, n): [string, CareEntry] => {
      const leaseId = `team/database/creds/service-${n % 40}/${(n * 7_919 + 1e12).toString(36)}${n}xYz0aBcDeF`;
      const issued = {
        leaseId,
        namespace: 'team',
        path: 'database/creds/app',
        consumer: `service-${n % 40}`,
      };
      const policy = { scanIntervalMs: 60_000, lookAheadMs: 70_000 };
      const now = 1_800_000_000_000 + n * 31;
      return [
        leaseId,
        leaseEntryOf({ ...issued, parent: 'an accessor', ttlSeconds: 3_600, renewable: true }, now, policy),
      ];
    });
    const { packed } = await packShard({ entries: new Map(all), tombstones: new Map() });
    expect(packed.length).toBeLessThan(SHARD_CAP_BYTES * 0.7);
  });
});

describe('the shard of an id', () => {
  it('is fixed: a change would lose every entry there is', () => {
    expect([shardOf('database/creds/app/abc', 32), shardOf('a', 32), shardOf('', 7)]).toMatchInlineSnapshot(`
      [
        12,
        18,
        1,
      ]
    `);
  });

  it('spreads ids evenly', () => {
    const counts = Array.from({ length: 32 }, () => 0);
    for (let n = 0; n < 32_000; n += 1) {
      const shard = shardOf(`lease ${n}`, 32);
      counts[shard] = (counts[shard] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(850);
    expect(Math.max(...counts)).toBeLessThan(1_150);
  });

  it('has nothing to do with the spread of the id in time', () => {
    fc.assert(
      fc.property(fc.string(), (id) => {
        expect(spreadOf(id)).toBeGreaterThanOrEqual(0);
        expect(spreadOf(id)).toBeLessThan(1);
      }),
    );
    const inFirst = Array.from({ length: 2_000 }, (_, n) => `lease ${n}`).filter(
      (id) => shardOf(id, 2) === 0,
    );
    const mean = inFirst.reduce((sum, id) => sum + spreadOf(id), 0) / inFirst.length;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
  });
});

describe('messages merged into a shard', () => {
  it('in whatever order they are read: oldest first by their names', () => {
    const messages = [add('1', { id: 'a', due: 1 }), remove('2', 'a'), add('3', { id: 'a', due: 3 })];
    const orders = fc.shuffledSubarray(messages, { minLength: 3 });
    fc.assert(
      fc.property(orders, (order) => {
        const after = mergeMessages(stateOf([]), order, keep, 50);
        expect(after).toEqual(stateOf([], [['a', 50]]));
      }),
    );
  });

  it('never bring back what has a tombstone, and never lose what nobody removed', () => {
    const messages = fc.array(
      fc.tuple(
        fc.nat(9),
        fc.oneof(
          entries.map((entry) => add('', entry)),
          ids.map((id) => remove('', id)),
        ),
      ),
    );
    fc.assert(
      fc.property(fc.array(entries), ids, messages, (before, gone, received) => {
        const named = received.map(([name, message], n) => ({ ...message, name: `${name}-${n}` }));
        const alive = before.filter(({ id }) => id !== gone);
        const after = mergeMessages(stateOf(alive, [[gone, 7]]), named, keep, 9);
        expect(after.entries.has(gone)).toBe(false);
        const removed = new Set(
          named.flatMap(({ message }) => (message.op === 'remove' ? [message.id] : [])),
        );
        for (const { id } of alive) expect(after.entries.has(id)).toBe(!removed.has(id));
        for (const id of removed) expect(after.tombstones.get(id)).toBe(9);
      }),
    );
  });

  it('are looked up when they are older than any tombstone can be', () => {
    const one = add('', { id: 'a', due: 1 }, 1_000);
    expect(mustBeLookedUp(one, 1_000 + TOMBSTONE_MS)).toBe(false);
    expect(mustBeLookedUp(one, 1_001 + TOMBSTONE_MS)).toBe(true);
    expect(mustBeLookedUp(remove('', 'a'), 9e15)).toBe(false);
    const state = stateOf([], [['a', 1_000]]);
    expect(withoutOldTombstones(state, [], 1_000 + TOMBSTONE_MS)).toBe(state);
    expect(withoutOldTombstones(state, [], 1_001 + TOMBSTONE_MS)).toEqual(stateOf([]));
    // While the message is still there, so is what keeps it out.
    expect(withoutOldTombstones(state, [one], 1_001 + TOMBSTONE_MS)).toBe(state);
  });

  it('keep their tombstone for as long as they are seen, however old it is', () => {
    const state = stateOf([], [['a', 1_000]]);
    const seen = [add('', { id: 'a', due: 1 }, 1_000)];
    expect(withoutOldTombstones(state, seen, 1_001 + TOMBSTONE_MS)).toBe(state);
    expect(withoutOldTombstones(state, [remove('', 'a')], 1_001 + TOMBSTONE_MS)).toEqual(stateOf([]));
  });
});
