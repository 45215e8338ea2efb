import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ulid } from 'ulid';
import { issueSecret } from '../../../lib/access/issue.ts';
import { ownLease } from '../../../lib/access/own-lease.ts';
import { revokeLease } from '../../../lib/access/revoke-lease.ts';
import { Book } from '../../../lib/agenda/book.ts';
import { DELIVERIES, ROTATIONS } from '../../../lib/agenda/hint.ts';
import type { FunctionName } from '../../../lib/host/identities.ts';
import { supply } from '../../../lib/host/managed-operations.ts';
import {
  type Wired,
  wireFetch,
  wireManage,
  wireNotify,
  wireRenew,
  wireRotate,
  wireScan,
} from '../../../lib/host/wire.ts';
import { leaseEntryOf, tokenEntryOf } from '../../../lib/leases/adopt.ts';
import { type CareEntry, LEASES, type LeaseEntry } from '../../../lib/leases/entry.ts';
import { renewShard } from '../../../lib/leases/renew.ts';
import { scanBooks } from '../../../lib/leases/scan.ts';
import { keyOf } from '../../../lib/notices/dispatch.ts';
import { workOnDue } from '../../../lib/notices/due.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { createSigningSecret } from '../../../lib/notices/signature.ts';
import { ManagedSecrets } from '../../../lib/rotation/managed-secrets.ts';
import { demandRotation, rotateShard } from '../../../lib/rotation/rotate.ts';
import { suppliedFolder } from '../../../lib/rotation/rotators/supplied-value.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { writeAcknowledgement } from '../../../lib/vault/acknowledgements.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { joinPath, namespaceOfLease, within } from '../../../lib/vault/addressing.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { tokenNamespaceOf } from '../../../lib/vault/mounts.ts';
import { issueDynamic } from '../../../lib/vault/secrets.ts';
import { authAnswer, lookupSelf, renewSelf } from '../../../lib/vault/tokens.ts';
import { wrap } from '../../../lib/vault/wrapping.ts';
import { rotated } from '../../notices/events.ts';
import { MANUAL, type PolicyWorld } from './policy-world.ts';
import { subscribe, useNotices } from './subscription-scenarios.ts';

type Parts = Awaited<ReturnType<PolicyWorld['parts']>>;

/** Whose policies there are: the functions', and those for people and services. */
export type Actor = FunctionName | 'operator' | 'consumer';

/** Everything an actor does, with the code that is deployed, as the identity that setup made. Returns the token it acted with. */
export const SCENARIOS: Readonly<Record<Actor, (world: PolicyWorld, parts: Parts) => Promise<string>>> = {
  scan: async (world, parts) => {
    const deps = wireScan(parts);
    return acting(world, deps, async () => {
      await scanBooks(deps);
    });
  },

  renew: async (world, parts) => {
    const deps = wireRenew(parts);
    return acting(world, deps, async () => {
      const book = rootBook(world);
      const lease = await issueLease(world);
      await book.add({ ...lease, due: 0 });
      await book.add({ ...(await tokenEntry(world)), due: 0 });
      await book.add({ ...(await issueLease(world)), due: 0, retire_at: 1 });
      await book.add({ ...(await issueLease(world)), due: 0, wrap: await unopened(world) });
      // Older than any tombstone, so it is asked whether it lives.
      const old = JSON.stringify({ op: 'add', entry: await issueLease(world) });
      const name = ulid(world.client.now() - 2 * 3_600_000);
      await world.store.write(`agenda/leases/inbox/0/${name}`, { message: old }, 0);
      const report = await renewShard(deps, {
        shard: 0,
        idle_parents: [],
        ending_parents: {},
        scanned_at: world.client.now(),
      });
      if (report.renewed.length === 0) throw new Error('nothing was renewed');
    });
  },

  rotate: async (world, parts) => {
    const deps = wireRotate(parts);
    return acting(world, deps, async () => {
      await rootSecrets(world).apply(world.specification);
      parts.recorder.loseAnswerOf = '/agenda/leases/inbox/';
      await rotateShard(deps, { shard: 0 });
      await demandRotation(deps, 'app-database', 'demand');
      parts.recorder.loseAnswerOf = '/agenda/rotations/inbox/';
      await overtakenOnce(world, parts, () => rotateShard(deps, { shard: 0 }));
      // The old one is retired because its consumer has moved on; the new one is looked at.
      await writeAcknowledgement(world.store, 'app-database', 'app', 2);
      await sleep(1_200);
      await rotateShard(deps, { shard: 0 });
      const state = (await rootSecrets(world).read('app-database'))?.state;
      if (state?.cur?.g !== 2 || state.retiring.length > 0) throw new Error(JSON.stringify(state));
      await supplyOne(world);
      await rotateShard(deps, { shard: 0 });
      const supplied = await world.store.list(suppliedFolder(MANUAL.name));
      if (supplied.length > 0) throw new Error('what was supplied is still there');
    });
  },

  notify: async (world, parts) => {
    const deps = wireNotify(parts);
    const receiver = await goneReceiver();
    const notices = new NoticeStore(world.store);
    const one = { url: receiver.url, types: ['*'], names: ['*'] };
    const secrets = () => [{ secret: createSigningSecret(randomBytes) }];
    await notices.saveSubscription({ ...one, id: '_all:direct', secrets: secrets() }, 0);
    await notices.saveSubscription({ ...one, id: 'app:batched', secrets: secrets(), batch_ms: 1_000 }, 0);
    return acting(world, deps, async () => {
      parts.recorder.loseAnswerOf = '/agenda/deliveries/inbox/';
      const event = rotated('app-database', ['app']);
      await (await deps.recorder.record(event)).delivered;
      if ((await notices.subscription('_all:direct'))?.document.disabled === undefined) {
        throw new Error('what the receiver answered is not written');
      }
      // The event once more, while it is gathered: it finds itself in the batch.
      const again = { ...rotated('app-database', ['app'], 2) };
      await (await deps.recorder.record(again)).delivered;
      const [folder = ''] = await world.store.list('batches/app/batched');
      await deps.notices.gather('app:batched', Number.parseInt(folder, 10), again);
      // One whose time is over.
      const old = { ...rotated('app-database', ['app'], 9), time: '2020-01-01T00:00:00.000Z' };
      await (await deps.recorder.record(old)).delivered;
      await sleep(1_100);
      await workOnDue(deps, { shard: 0 });
      if ((await notices.dispatch(keyOf(old))) !== undefined) throw new Error('the old one is still there');
      const left = await world.store.list('batches/app/batched');
      if (left.length > 0) throw new Error('what was gathered is still there');
    }).finally(() => receiver.close());
  },

  fetch: async (world, parts) => {
    const deps = wireFetch(parts);
    return acting(world, deps, async () => {
      const caller = await deps.callers.identify({ kind: 'token', token: await callerToken(world) });
      const request = { path: 'database/creds/app' };
      parts.recorder.loseAnswerOf = '/agenda/leases/inbox/';
      const issued = await issueSecret(deps, caller, request);
      // Its message is not merged yet.
      await issueSecret(deps, caller, { ...request, replaces: issued.leaseId });
      const entry = await ownLease(deps, caller, (await issueSecret(deps, caller, request)).leaseId);
      if (entry === undefined) throw new Error('the lease is not its caller’s');
      await revokeLease(deps, entry);
      parts.recorder.before = async ({ method, path }) => {
        if (method === 'PUT' && path.includes('/inbox/')) throw new VaultError('vault_sealed', 'Away.');
      };
      await issueSecret(deps, caller, request).then(
        () => Promise.reject(new Error('issued without care')),
        () => {},
      );
      // It stays away: of two messages that are tried again at random the other may still be on its way when this is over.
    });
  },

  manage: async (world, parts) => {
    const deps = wireManage(parts);
    return acting(world, deps, async () => {
      await deps.shardOfSecret('app-database');
      parts.recorder.loseAnswerOf = '/agenda/rotations/inbox/';
      await deps.postHint('app-database');
      parts.recorder.loseAnswerOf = '/agenda/deliveries/inbox/';
      await useNotices(world.store, deps.ownNotices, (hints) => deps.deliveries.addAll(hints), deps.now);
    });
  },

  operator: async (world, parts) => {
    const token = await tokenWith(world, ['leasekeeper-operator']);
    const now = () => parts.client.now();
    const store = new KvStore(actingWith(parts.client, token), parts.config.stateMount);
    const book = new Book({ kind: ROTATIONS, store, now, random: Math.random });
    const secrets = new ManagedSecrets({ store, book, now });
    parts.recorder.loseAnswerOf = '/agenda/rotations/inbox/';
    await secrets.apply({ ...world.specification, name: 'other-database' });
    await secrets.names();
    await secrets.apply({ ...world.specification, name: 'other-database', deadline: '2h' });
    await secrets.apply({ ...MANUAL, name: 'other-manual' });
    parts.recorder.loseAnswerOf = '/supplied/';
    await supply({ secrets, by: 'operator', now }, store, 'other-manual', { key: 'x' });
    await subscribe(store, now);
    const deliveries = new Book({ kind: DELIVERIES, store, now, random: Math.random });
    parts.recorder.loseAnswerOf = '/agenda/deliveries/inbox/';
    await useNotices(store, new NoticeStore(store), (hints) => deliveries.addAll(hints), now);
    return token.expose();
  },

  consumer: async (world, parts) => {
    const token = await consumerToken(world, 'app');
    const store = new KvStore(actingWith(parts.client, token), parts.config.stateMount);
    await writeAcknowledgement(store, 'some-secret', 'app', 1);
    await writeAcknowledgement(store, 'some-secret', 'app', 2);
    await subscribe(store, () => parts.client.now(), 'app');
    await store.read('secrets/app-database');
    return token.expose();
  },
};

/** A person supplies a value, to be taken over. */
async function supplyOne(world: PolicyWorld): Promise<void> {
  const secrets = rootSecrets(world);
  await secrets.apply(MANUAL);
  const person = { secrets, by: 'a person', now: () => world.client.now() };
  await supply(person, world.store, MANUAL.name, { key: 'x' });
}

/** What every session does with its own token, around the function's work. */
async function acting(world: PolicyWorld, { session }: Wired, work: () => Promise<void>): Promise<string> {
  const { token } = await session.held();
  await lookupSelf(session, world.authNamespace);
  await renewSelf(session, world.authNamespace, 3_600);
  await work();
  await session.close();
  return token.expose();
}

function rootBook(world: PolicyWorld): Book<CareEntry> {
  const now = () => world.client.now();
  return new Book({ kind: LEASES, store: world.store, now, random: Math.random });
}

export function rootSecrets({ store, client }: PolicyWorld): ManagedSecrets {
  const now = () => client.now();
  const book = new Book({ kind: ROTATIONS, store, now, random: Math.random });
  return new ManagedSecrets({ store, book, now });
}

const POLICY = { scanIntervalMs: 1_000, lookAheadMs: 3_000 };

async function issueLease(world: PolicyWorld): Promise<LeaseEntry> {
  const path = joinPath(world.namespace, 'database/creds/app');
  const issued = await issueDynamic(world.vault, path);
  const namespace = namespaceOfLease(issued.leaseId, world.namespace, world.authNamespace);
  return leaseEntryOf(
    {
      leaseId: issued.leaseId,
      namespace,
      path,
      consumer: 'app',
      ttlSeconds: issued.leaseDurationSeconds,
      renewable: true,
    },
    world.client.now(),
    POLICY,
  );
}

/** A token in the namespace of the leases, as an attempt's is. */
async function tokenEntry(world: PolicyWorld) {
  const namespace = await tokenNamespaceOf(world.vault, world.namespace, world.authNamespace);
  const { auth } = await world.admin.read(
    authAnswer,
    'POST',
    joinPath(namespace, 'auth/token/create-orphan'),
    { ttl: '10m', policies: ['leasekeeper-attempt-app-database'] },
  );
  const now = world.client.now();
  const parent = {
    accessor: auth.accessor,
    namespace,
    expiresAt: now + 600_000,
    ttlSeconds: 600,
    renewable: true,
  };
  return tokenEntryOf(parent, now, POLICY);
}

async function unopened(world: PolicyWorld): Promise<{ accessor: string; expire: number }> {
  const { accessor } = await wrap(world.vault, world.authNamespace, { a: 'b' }, 600);
  return { accessor, expire: world.client.now() + 300_000 };
}

/** Somebody writes to the published path between the test and the publication. */
async function overtakenOnce(world: PolicyWorld, parts: Parts, work: () => Promise<unknown>): Promise<void> {
  const published = `/v1/${world.namespace}/app/data/database`;
  let overtaken = false;
  parts.recorder.before = async ({ method, path }) => {
    if (overtaken || method !== 'PUT' || path !== published) return;
    overtaken = true;
    await world.admin.request('POST', published.slice('/v1/'.length), { data: { by: 'a person' } });
  };
  await work();
  parts.recorder.before = async () => {};
  if (!overtaken) throw new Error('nothing was published');
}

async function callerToken(world: PolicyWorld): Promise<Secret> {
  const source = joinPath(within(world.authNamespace, world.namespace), 'database/creds/app');
  await world.admin.request('PUT', joinPath(world.authNamespace, 'sys/policies/acl/caller'), {
    policy: `path "${source}" {\n  capabilities = ["read"]\n}\n`,
  });
  return tokenWith(world, ['caller']);
}

/** A service's token, with what setup made for it to acknowledge. */
export function consumerToken(world: PolicyWorld, consumer: string): Promise<Secret> {
  return tokenWith(world, [`leasekeeper-consumer-${consumer}`]);
}

async function tokenWith(world: PolicyWorld, policies: readonly string[]): Promise<Secret> {
  const path = joinPath(world.authNamespace, 'auth/token/create-orphan');
  const { auth } = await world.admin.read(authAnswer, 'POST', path, { policies });
  return new Secret(auth.client_token);
}

async function goneReceiver(): Promise<{ url: string; close(): void }> {
  const server = createServer((_, response) => response.writeHead(410).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  return { url: `http://127.0.0.1:${port}/`, close: () => server.close() };
}
