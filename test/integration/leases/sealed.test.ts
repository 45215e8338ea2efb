import { afterAll, beforeAll, describe, expect, inject, it, onTestFailed } from 'vitest';
import * as z from 'zod';
import type { CareEntry, LeaseEntry } from '../../../lib/leases/entry.ts';
import type { RenewReport } from '../../../lib/leases/renew.ts';
import { DEFAULT_RETRY } from '../../../lib/vault/retry.ts';
import { createTransport, type Transport, type TransportRequest } from '../../../lib/vault/transport.ts';
import { AdminError, adminOf, uniqueName } from '../../support/admin.ts';
import { type OwnServer, startOwnServer } from '../../support/own-server.ts';
import { until } from '../../support/until.ts';
import type { WorldDescription } from '../../support/world.ts';
import { type Care, openCare } from './care.ts';

const MINUTE = 60_000;
const POLICY = { scanIntervalMs: MINUTE, lookAheadMs: 70_000 };
const LIVING = 12;
/** The first to be renewed is gone before the visit, the last ends while Vault is away; the others live on. */
const ALL = LIVING + 2;
const MOMENTS = [1, ALL / 2, ALL];

let own: OwnServer;
beforeAll(async () => {
  own = await startOwnServer(inject('binaries').openbao);
});
afterAll(() => own.stop());

/** How Vault goes away in the middle of a visit, and whether it is back before the visit writes down what it came to. */
interface Outage {
  /** Given the requests that are under way. When it ends, Vault is away. */
  readonly begin: (underWay: readonly Promise<unknown>[]) => Promise<void>;
  readonly isOverBeforeWriting: boolean;
}

/** Torn requests, and those that a sealing leaves without an answer, are faults of their own: here each is answered first. */
const onceAnswered = (begin: () => Promise<void>): Outage['begin'] => {
  return async (underWay) => {
    await Promise.allSettled(underWay);
    await begin();
  };
};

const KILLED: Outage = { begin: () => own.kill(), isOverBeforeWriting: false };
const SEALED: Outage = { begin: onceAnswered(() => own.seal()), isOverBeforeWriting: false };
const KILLED_AND_BACK: Outage = { begin: onceAnswered(() => own.kill()), isOverBeforeWriting: true };
const SEALED_AND_BACK: Outage = { ...SEALED, isOverBeforeWriting: true };

const renewalSchema = z.object({ lease_id: z.string() });

/** The lease that a request is to renew. */
function renewalIn(request: TransportRequest): string | undefined {
  if (!request.path.endsWith('/sys/leases/renew')) return undefined;
  return renewalSchema.parse(JSON.parse(request.body ?? '')).lease_id;
}

/** Notes which leases were to be renewed, tries that failed included. */
function recording(tried: string[]): (real: Transport) => Transport {
  return (real) => ({
    ...real,
    exchange: (request) => {
      const id = renewalIn(request);
      if (id !== undefined) tried.push(id);
      return real.exchange(request);
    },
  });
}

/** Vault goes away, once, when the renewal of this number is about to be sent; whatever is sent from then on waits until it is. */
function awayAt(renewal: number, outage: Outage): (real: Transport) => Transport {
  return (real) => {
    const underWay: Promise<unknown>[] = [];
    let renewals = 0;
    let away: Promise<void> | undefined;
    let back: Promise<Transport> | undefined;
    const wayFor = async (request: TransportRequest): Promise<Transport> => {
      await away;
      if (outage.isOverBeforeWriting && renewalIn(request) === undefined) back ??= comeBack();
      return back ?? real;
    };
    return {
      exchange: async (request) => {
        if (renewalIn(request) !== undefined) renewals += 1;
        if (renewals === renewal) away ??= outage.begin([...underWay]);
        if (away !== undefined) return (await wayFor(request)).exchange(request);
        const answer = real.exchange(request);
        underWay.push(answer);
        return answer;
      },
      close: async () => {
        await real.close();
        await (await back)?.close();
      },
    };
  };
}

async function comeBack(): Promise<Transport> {
  const { address } = await own.restart();
  return createTransport({ address });
}

/** Mounts and roles of one test. One that fails leaves Vault as it should be for the next. */
async function newWorld(): Promise<WorldDescription> {
  onTestFailed(async () => {
    await own.restart();
  });
  const { address, rootToken } = own.current();
  const { request } = adminOf(own.current());
  const { host, port, database, user, password } = inject('postgres');
  const [namespace, stateMount, rolePrefix] = [uniqueName('ns'), uniqueName('state'), uniqueName('v')];
  await request('POST', `sys/mounts/${stateMount}`, { type: 'kv', options: { version: '2' } });
  await request('POST', `${stateMount}/config`, { cas_required: true, max_versions: 2 });
  await request('POST', `sys/mounts/${namespace}/database`, { type: 'database' });
  await request('POST', `${namespace}/database/config/pg`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}`,
    username: user,
    password,
    username_template: `${rolePrefix}-{{random 16}}`,
    max_open_connections: 2,
  });
  const lives = { app: { default_ttl: '1h', max_ttl: '24h' }, brief: { default_ttl: '1s', max_ttl: '1s' } };
  for (const [role, ttl] of Object.entries(lives)) {
    await request('POST', `${namespace}/database/roles/${role}`, {
      db_name: 'pg',
      creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
      revocation_statements: `DROP ROLE IF EXISTS "{{name}}"`,
      ...ttl,
    });
  }
  return {
    address,
    rootToken,
    namespace,
    stateMount,
    rolePrefix,
    postgres: { host, port, database },
  };
}

interface Issued {
  readonly living: readonly LeaseEntry[];
  readonly gone: LeaseEntry;
  readonly brief: LeaseEntry;
}

/** Leases that are all due. The soonest to expire is renewed first, so their entries' ends say in which order. */
async function issueAll(care: Care): Promise<Issued> {
  const { leases, rotations, deliveries } = care.world;
  await Promise.all([leases, rotations, deliveries].map((book) => book.create(1)));
  const living = await Promise.all(Array.from({ length: LIVING }, () => care.issue('app')));
  const gone = await care.issue('app', { expire: care.clock.now + 10 * MINUTE });
  await adminOf(care.world).request('PUT', 'sys/leases/revoke', { lease_id: gone.id, sync: true });
  const brief = await care.issue('brief', { expire: care.clock.now + 120 * MINUTE });
  return { living, gone, brief };
}

const idsOf = (entries: readonly CareEntry[]): string[] => entries.map(({ id }) => id).sort();

async function allEntries({ world }: Care): Promise<readonly CareEntry[]> {
  return (await world.leases.scan()).flatMap(({ entries }) => entries);
}

/** Whether something was held against a lease, or is to be told of it. */
function isMarked(entry: CareEntry): boolean {
  const notices = entry.kind === 'lease' ? [...(entry.told ?? []), ...(entry.unpublished ?? [])] : [];
  return notices.length > 0 || entry.final === true || (entry.failures ?? 0) > 0;
}

/** Ids of the leases told as lost. Nothing else may have been told. */
function toldLost(care: Care): string[] {
  return care.world.published.map((event) => {
    if (event.type !== 'lease.lost') throw new Error(`${event.type} was told.`);
    return event.data.lease_id;
  });
}

async function isGone(care: Care, id: string): Promise<boolean> {
  try {
    await adminOf(care.world).request('PUT', 'sys/leases/lookup', { lease_id: id });
    return false;
  } catch (error) {
    if (error instanceof AdminError && error.errors.includes('invalid lease')) return true;
    throw error;
  }
}

/** What a visit came to before Vault went away for good: nothing, whether it could say so or not. */
async function expectNothingCameOf(visit: Promise<RenewReport>, code: string): Promise<void> {
  const [outcome] = await Promise.allSettled([visit]);
  if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code });
  else expect(outcome.value).toMatchObject({ renewed: [], failed: 0, lost: 0, told: 0, left: ALL });
}

/** Starts Vault again; then a worker that knows nothing of the visit renews all that live, each once, and tells of the others, each once. */
async function expectTheRestIsDone(
  worker: Care,
  described: WorldDescription,
  issued: Issued,
  done: string[],
) {
  const { address } = await own.restart();
  const tried: string[] = [];
  const options = { policy: POLICY, clock: worker.clock, transport: recording(tried) };
  const back = openCare({ ...described, address }, options);
  const { living, gone, brief } = issued;
  const told = toldLost(worker);
  const kept = idsOf([...living, gone, brief]).filter((id) => !told.includes(id));
  expect(idsOf(await allEntries(back))).toEqual(kept);
  expect((await allEntries(back)).filter(isMarked)).toEqual([]);
  await until(() => isGone(back, brief.id));
  // The claims of the broken visit run out.
  back.clock.now += 3 * MINUTE;
  const first = await back.scanAndVisit();
  const second = await back.scanAndVisit();
  const open = idsOf(living).filter((id) => !done.includes(id));
  expect(idsOf([...first.visits, ...second.visits].flatMap(({ renewed }) => renewed))).toEqual(open);
  expect(tried.sort()).toEqual(kept.filter((id) => !done.includes(id)));
  expect([...told, ...toldLost(back)].sort()).toEqual(idsOf([gone, brief]));
  const after = await allEntries(back);
  expect(idsOf(after)).toEqual(idsOf(living));
  expect(after.filter((entry) => isMarked(entry) || entry.claim !== undefined)).toEqual([]);
  for (const { id } of living) expect(await isGone(back, id)).toBe(false);
  await back.world.close();
}

function mostTries(tried: readonly string[]): number {
  return Math.max(...tried.map((id) => tried.filter((one) => one === id).length));
}

describe.each([
  ['killed', 'vault_unreachable', KILLED],
  ['sealed', 'vault_sealed', SEALED],
])('when Vault is %s in the middle of a visit', (_, code, outage) => {
  it.each(MOMENTS)('at renewal %i, nothing is told or lost; once it is back, all are renewed', async (at) => {
    const described = await newWorld();
    const tried: string[] = [];
    const transport = (real: Transport) => recording(tried)(awayAt(at, outage)(real));
    const worker = openCare(described, { policy: POLICY, transport });
    const issued = await issueAll(worker);
    await expectNothingCameOf(worker.visit(0), code);
    // It is still away, and another visit comes to nothing either.
    await expect(worker.visit(0)).rejects.toMatchObject({ code });
    expect(worker.told()).toEqual([]);
    expect(mostTries(tried)).toBeLessThanOrEqual(DEFAULT_RETRY.attempts);
    await expectTheRestIsDone(worker, described, issued, []);
    await worker.world.close();
  });
});

// Only here could a worker write down, and tell, what it made of the silence.
describe('when Vault goes away in the middle of a visit and is back before its end', () => {
  const rows = MOMENTS.map((at) => ['killed', at, KILLED_AND_BACK] as const);
  it.each([...rows, ['sealed', ALL / 2, SEALED_AND_BACK] as const])(
    '%s at renewal %i: what was done is kept, and nothing is held against the rest',
    async (_, at, outage) => {
      const described = await newWorld();
      const worker = openCare(described, { policy: POLICY, transport: awayAt(at, outage) });
      const issued = await issueAll(worker);
      const { renewed, ...counts } = await worker.visit(0);
      const lost = at === 1 ? [] : [issued.gone.id];
      expect(renewed.length).toBe(at - 1 - lost.length);
      expect(counts).toEqual({ failed: 0, lost: lost.length, told: lost.length, left: ALL - (at - 1) });
      expect(toldLost(worker)).toEqual(lost);
      await expectTheRestIsDone(worker, described, issued, idsOf(renewed));
      await worker.world.close();
    },
  );
});
