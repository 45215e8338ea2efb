import { randomBytes } from 'node:crypto';
import { ulid } from 'ulid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Book, type BookOptions, type BookTrouble } from '../../../lib/agenda/book.ts';
import { packShard, SHARD_CAP_BYTES } from '../../../lib/agenda/shard.ts';
import { leaseEntryOf } from '../../../lib/leases/adopt.ts';
import { type CareEntry, LEASES } from '../../../lib/leases/entry.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { createTransport, type Transport } from '../../../lib/vault/transport.ts';
import { uniqueName } from '../../support/admin.ts';
import { Conductor } from '../../support/conductor.ts';
import { FolderStore } from '../../support/folder-store.ts';
import { createWorld, openWorld, TEST_POLICY, type World } from '../../support/world.ts';

const HOUR = 3_600_000;
let world: World;
let real: Transport;

beforeAll(async () => {
  world = openWorld(await createWorld());
  real = createTransport({ address: world.address });
});
afterAll(async () => {
  await real.close();
  await world.close();
});

/** A new book of one shard, a clock, and processes on it that are moved by hand. */
async function newBook(options: Partial<BookOptions<CareEntry>> = {}, shards = 1) {
  const folder = uniqueName('book');
  const clock = { now: Date.now() };
  const conductor = new Conductor({ real });
  const store = new FolderStore(world.vault, world.stateMount, folder);
  const on = (through: FolderStore) =>
    new Book<CareEntry>({
      kind: LEASES,
      store: through,
      now: () => clock.now,
      random: () => 0,
      ...options,
    });
  const book = on(store);
  await book.create(shards);
  const byHand = (actor: string) => {
    const client = new VaultClient({ transport: conductor.transportOf(actor), random: () => 0 });
    const vault = actingWith(client, new Secret(world.rootToken));
    return on(new FolderStore(vault, world.stateMount, folder));
  };
  const ids = async () => {
    const [shard] = await book.scan();
    return shard?.entries.map(({ id }) => id).sort();
  };
  return { book, store, clock, conductor, byHand, ids };
}

function entry(id: string): CareEntry {
  const issued = { leaseId: id, namespace: '', path: 'p', consumer: 'c', ttlSeconds: 3_600 };
  return leaseEntryOf({ ...issued, renewable: true }, Date.now(), TEST_POLICY);
}

/** Writes a shard that has hardly any room left, and gives what is in it. */
async function fillShard(store: FolderStore): Promise<readonly CareEntry[]> {
  const entries = Array.from({ length: 5_000 }, () => entry(randomBytes(90).toString('base64')));
  const kept: CareEntry[] = [];
  let size = 0;
  while (size < SHARD_CAP_BYTES - 1_500) {
    kept.push(...entries.splice(0, size < SHARD_CAP_BYTES - 20_000 ? 100 : 5));
    size = (await packShard(stateOf(kept))).packed.length;
  }
  await store.write('agenda/leases/shards/0', await packShard(stateOf(kept)), 0);
  return kept;
}

const merge = (book: Book<CareEntry>) => book.visit(0, () => ({}));
const isShard = ({ path }: { readonly path: string }) => path.includes('/shards/');

describe('a book', () => {
  it('keeps its number of shards whoever creates it again', async () => {
    const { book } = await newBook();
    await book.create(7);
    expect(await book.scan()).toHaveLength(1);
  });

  it('says what to do when it was never set up', async () => {
    const store = new FolderStore(world.vault, world.stateMount, uniqueName('none'));
    const book = new Book<CareEntry>({ kind: LEASES, store, now: Date.now, random: Math.random });
    await expect(book.add(entry('a'))).rejects.toMatchObject({ code: 'agenda_not_set_up' });
  });

  it('loses no update of 50 workers that write one shard at once', async () => {
    const { book, store } = await newBook({ random: Math.random });
    await book.add({ ...entry('counter'), due: 0 });
    const books = Array.from(
      { length: 50 },
      () => new Book<CareEntry>({ kind: LEASES, store, now: Date.now, random: Math.random }),
    );
    await Promise.all(
      books.map((one, n) =>
        one.visit(0, ({ entries }) => {
          const counter = entries.get('counter');
          const raised = counter === undefined ? [] : [{ ...counter, due: counter.due + 1 }];
          return { set: [...raised, entry(`of ${n}`)] };
        }),
      ),
    );
    const [shard] = await book.scan();
    expect(shard?.entries.find(({ id }) => id === 'counter')?.due).toBe(50);
    expect(shard?.entries).toHaveLength(51);
  });

  it('is not stopped by a message that cannot be read, and reports it', async () => {
    const troubles: BookTrouble[] = [];
    const { book, store, ids } = await newBook({ onTrouble: (trouble) => troubles.push(trouble) });
    await book.add(entry('before'));
    const poison = ulid();
    await store.write(`agenda/leases/inbox/0/${poison}`, { message: '{"op":"add","entry":{}}' }, 0);
    await store.write('agenda/leases/inbox/0/no-ulid', { message: '{"op":"remove","id":"x"}' }, 0);
    await book.add(entry('later'));
    await merge(book);
    expect(await ids()).toEqual(['before', 'later']);
    // Messages are read side by side.
    expect(new Set(troubles)).toEqual(
      new Set([poison, 'no-ulid'].map((message) => ({ kind: 'message_unreadable', shard: 0, message }))),
    );
    expect(await store.list('agenda/leases/inbox/0')).toEqual([poison, 'no-ulid']);
  });

  it('scans the other shards when one cannot be read, and reports it', async () => {
    const troubles: BookTrouble[] = [];
    const { book, store } = await newBook({ onTrouble: (trouble) => troubles.push(trouble) }, 2);
    await store.write('agenda/leases/shards/0', { packed: 'not what it should be' }, 0);
    const [first, second] = await book.scan();
    expect([first?.entries, first?.fresh, second?.shard]).toEqual([[], false, 1]);
    expect(troubles).toEqual([{ kind: 'shard_unreadable', shard: 0 }]);
  });

  it('leaves additions to a full shard in its inbox, takes removals, and goes on when there is room', async () => {
    const full: BookTrouble[] = [];
    const { book, store, ids } = await newBook({ onTrouble: (trouble) => full.push(trouble) });
    const kept = await fillShard(store);
    const more = Array.from({ length: 20 }, () => entry(randomBytes(90).toString('base64')));
    for (const one of more) await book.add(one);
    await merge(book);
    expect(full.splice(0)).toContainEqual({ kind: 'shard_full', shard: 0 });
    expect(await ids()).toHaveLength(kept.length);
    expect(await store.list('agenda/leases/inbox/0')).toHaveLength(20);
    await book.remove(kept[0]?.id ?? '');
    await merge(book);
    expect(await ids()).toHaveLength(kept.length - 1);
    expect(full.splice(0)).toContainEqual({ kind: 'shard_full', shard: 0 });
    for (const { id } of kept.slice(1, 30)) await book.remove(id);
    await merge(book);
    expect(full).toEqual([]);
    const all = [...kept.slice(30), ...more].map(({ id }) => id).sort();
    expect(await ids()).toEqual(all);
    expect(await store.list('agenda/leases/inbox/0')).toEqual([]);
  });

  it('keeps a message of several whole in the inbox of a full shard when one of them is new', async () => {
    const full: BookTrouble[] = [];
    const { book, store, ids } = await newBook({ onTrouble: (trouble) => full.push(trouble) });
    const kept = await fillShard(store);
    const [first = entry('none'), second = entry('none')] = kept;
    const fresh = Array.from({ length: 30 }, () => entry(randomBytes(90).toString('base64')));
    await book.addAll([first, second]);
    await merge(book);
    expect([full, await store.list('agenda/leases/inbox/0')]).toEqual([[], []]);

    await book.addAll([first, ...fresh, second]);
    await merge(book);

    expect(full).toContainEqual({ kind: 'shard_full', shard: 0 });
    expect(await store.list('agenda/leases/inbox/0')).toHaveLength(1);
    expect(await ids()).toHaveLength(kept.length);
    for (const { id } of kept.slice(0, 40)) await book.remove(id);
    await merge(book);
    const all = [...kept.slice(40), ...fresh].map(({ id }) => id).sort();
    expect(await ids()).toEqual(all);
    expect(await store.list('agenda/leases/inbox/0')).toEqual([]);
  });

  it('takes several entries in one message for each shard that has any', async () => {
    const { book, store } = await newBook({}, 4);
    const many = Array.from({ length: 40 }, (_, n) => entry(`many ${n}`));
    await book.addAll([]);
    await book.addAll(many);
    const shards = [0, 1, 2, 3];
    const messages = await Promise.all(shards.map((n) => store.list(`agenda/leases/inbox/${n}`)));
    expect(messages.map(({ length }) => length)).toEqual([1, 1, 1, 1]);
    for (const shard of shards) await book.visit(shard, () => ({}));
    const scanned = await book.scan();
    expect(scanned.flatMap(({ entries }) => entries.map(({ id }) => id)).sort()).toEqual(
      many.map(({ id }) => id).sort(),
    );
    for (const { id } of many) expect((await book.find(id))?.id).toBe(id);
  });

  it('leaves a message of several of which one cannot be read where it is, whole, and reports it once', async () => {
    const troubles: BookTrouble[] = [];
    const { book, store, ids } = await newBook({ onTrouble: (trouble) => troubles.push(trouble) });
    const name = ulid();
    const message = JSON.stringify({ op: 'add_all', entries: [entry('a'), { id: 'b' }] });
    await store.write(`agenda/leases/inbox/0/${name}`, { message }, 0);
    await merge(book);
    expect(await ids()).toEqual([]);
    expect(await store.list('agenda/leases/inbox/0')).toEqual([name]);
    expect(troubles).toEqual([{ kind: 'message_unreadable', shard: 0, message: name }]);
  });

  it('looks up each entry of an old message for itself', async () => {
    const { book, clock, ids } = await newBook({ isAlive: async ({ id }) => id === 'alive' });
    await book.addAll([entry('dead'), entry('alive')]);
    clock.now += HOUR + 1_000;
    await merge(book);
    expect(await ids()).toEqual(['alive']);
  });

  it('refuses to read a shard of another schema, and leaves it alone', async () => {
    const { book, store } = await newBook();
    await store.write('agenda/leases/shards/0', { packed: 'not deflated' }, 0);
    await expect(merge(book)).rejects.toMatchObject({ code: 'agenda_unreadable' });
    expect((await store.read('agenda/leases/shards/0')).version).toBe(1);
  });
});

function stateOf(entries: readonly CareEntry[]) {
  return { entries: new Map(entries.map((one) => [one.id, one])), tombstones: new Map<string, number>() };
}

describe('the order of requests in a book', () => {
  it('lists the inbox before it reads the shards, so that a scan overlooks nothing', async () => {
    const { book, conductor, byHand } = await newBook();
    await book.add(entry('a'));
    let scanned: Awaited<ReturnType<typeof book.scan>> = [];
    conductor.start('scan', async () => {
      scanned = await byHand('scan').scan();
    });
    // Between its first read and its second, a worker moves the entry from the one place to the other.
    const first = await conductor.playUntil('scan', ({ path }) => !path.endsWith('/about'));
    if (first) await conductor.release(first, 'go');
    await conductor.waiting();
    await merge(book);
    await conductor.play();
    const [shard] = scanned;
    expect(shard?.fresh || shard?.entries.some(({ id }) => id === 'a')).toBe(true);
  });

  it('reads the shard before the inbox, so that what was removed since does not come back', async () => {
    const { book, clock, conductor, byHand, ids } = await newBook({ isAlive: async () => true });
    await book.add(entry('a'));
    conductor.start('slow', () => merge(byHand('slow')));
    // It sleeps after it has read both, or between the two if the first was the inbox.
    for (let reads = 0; reads < 4; reads += 1) {
      const next = await conductor.playUntil('slow', ({ path }) => !path.endsWith('/about'));
      if (next === undefined || next.request.method === 'PUT' || (reads > 0 && isShard(next.request))) break;
      await conductor.release(next, 'go');
    }
    await merge(book);
    await book.remove('a');
    await merge(book);
    clock.now += HOUR + 1_000;
    await merge(book);
    await conductor.play();
    expect(await ids()).toEqual([]);
  });

  it('counts a tombstone from the last removal', async () => {
    const { book, store, clock, ids } = await newBook();
    const start = clock.now;
    const late = { message: JSON.stringify({ op: 'add', entry: entry('a') }) };
    await book.remove('a');
    await merge(book);
    clock.now = start + 0.8 * HOUR;
    await book.remove('a');
    await merge(book);
    clock.now = start + 1.1 * HOUR;
    await book.visit(0, () => ({ set: [entry('b')] }));
    // Written by a process that slept: its name says that it is from between the two removals.
    await store.write(`agenda/leases/inbox/0/${ulid(start + 0.5 * HOUR)}`, late, 0);
    clock.now = start + 1.2 * HOUR;
    await merge(book);
    expect(await ids()).toEqual(['b']);
  });

  it.each([
    ['still alive', true, ['a']],
    ['gone', false, []],
  ])('looks up the lease of a message older than any tombstone: %s', async (_, alive, expected) => {
    const asked: string[] = [];
    const { book, clock, ids } = await newBook({
      isAlive: async ({ id }) => {
        asked.push(id);
        return alive;
      },
    });
    await book.add(entry('a'));
    clock.now += HOUR + 1_000;
    await book.add(entry('young'));
    await merge(book);
    expect(asked).toEqual(['a']);
    expect(await ids()).toEqual([...expected, 'young']);
  });

  it.each(['lose-request', 'lose-answer'] as const)(
    'posts a message once when its answer is lost: %s',
    async (fate) => {
      const { store, conductor, byHand, ids, book } = await newBook();
      conductor.start('giver', () => byHand('giver').add(entry('a')));
      const parked = await conductor.playUntil('giver', ({ method }) => method === 'PUT');
      if (parked) await conductor.release(parked, fate);
      await conductor.play();
      expect(await store.list('agenda/leases/inbox/0')).toHaveLength(1);
      await merge(book);
      expect(await ids()).toEqual(['a']);
    },
  );

  it.each(['lose-request', 'lose-answer', 'die-before', 'die-after'] as const)(
    'loses nothing when the write of a shard ends so: %s',
    async (fate) => {
      const { book, store, conductor, byHand, ids } = await newBook();
      await book.add(entry('a'));
      conductor.start('worker', () => merge(byHand('worker')));
      const parked = await conductor.playUntil('worker', ({ method }) => method === 'PUT');
      if (parked) await conductor.release(parked, fate);
      await conductor.play();
      await merge(book);
      expect(await ids()).toEqual(['a']);
      expect(await store.list('agenda/leases/inbox/0')).toEqual([]);
    },
  );

  it('is not confused by two removals and two additions of one lease in any order', async () => {
    const { book, ids } = await newBook();
    await book.add(entry('a'));
    await merge(book);
    await book.remove('a');
    await book.add(entry('a'));
    await merge(book);
    expect(await ids()).toEqual([]);
    await book.add(entry('a'));
    await book.remove('a');
    await merge(book);
    expect(await ids()).toEqual([]);
  });
});
