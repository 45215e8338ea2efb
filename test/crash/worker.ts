import { appendFileSync } from 'node:fs';
import * as z from 'zod';
import { issueSecret } from '../../lib/access/issue.ts';
import { ownLease } from '../../lib/access/own-lease.ts';
import { revokeLease } from '../../lib/access/revoke-lease.ts';
import type { Bus } from '../../lib/bus/bus.ts';
import { outcomeSchema } from '../../lib/bus/events.ts';
import { workOnDue } from '../../lib/notices/due.ts';
import { NoticeStore } from '../../lib/notices/notice-store.ts';
import { openNotify } from '../../lib/notices/notify.ts';
import { createSender } from '../../lib/notices/sender.ts';
import { rotateSecret } from '../../lib/rotation/engine.ts';
import { runProbe } from '../../lib/rotation/probes/probe.ts';
import { noMetrics } from '../../lib/telemetry/no-metrics.ts';
import { Secret } from '../../lib/telemetry/secret.ts';
import { tokenAuth } from '../../lib/vault/auth/token.ts';
import { VaultSession } from '../../lib/vault/session.ts';
import { openWorld } from '../support/open-world.ts';
import { KillSwitch } from './kill-switch.ts';

/** A process of its own that does one job in a world and may kill itself on the way. Prints the labels of its calls when it got through. */
const jobSchema = z.object({
  world: z.object({
    address: z.string(),
    rootToken: z.string(),
    namespace: z.string(),
    stateMount: z.string(),
    rolePrefix: z.string(),
    postgres: z.object({ host: z.string(), port: z.number(), database: z.string() }),
  }),
  job: z.union([
    z.object({ kind: z.literal('rotate'), name: z.string() }),
    z.object({ kind: z.literal('issue'), token: z.string() }),
    z.object({ kind: z.literal('revoke'), token: z.string(), leaseId: z.string() }),
    z.object({ kind: z.literal('record'), event: outcomeSchema }),
    z.object({ kind: z.literal('deliver') }),
  ]),
  kill: z.object({ call: z.number(), when: z.enum(['before', 'during', 'after']) }).optional(),
  /** How far its clock is ahead, in milliseconds. */
  later: z.number().default(0),
  /** The bus: published events are appended here, one JSON a line. */
  events: z.string(),
});
export type CrashJob = z.input<typeof jobSchema>;

const { world: described, job, kill, later, events } = jobSchema.parse(JSON.parse(process.argv[2] ?? ''));
const killSwitch = new KillSwitch(kill);
const bus: Bus = {
  publish: (published) =>
    killSwitch.call(`publish ${published.map(({ type }) => type).join(' ')}`, async () => {
      for (const event of published) appendFileSync(events, `${JSON.stringify(event)}\n`);
      return new Set(published.map(({ id }) => id));
    }),
};
const world = openWorld(described, {
  bus,
  now: () => Date.now() + later,
  transport: (real) => killSwitch.transport(real),
  http: (real) => killSwitch.http(real),
  runProbe: (probe, value, clock) =>
    killSwitch.call(`test ${probe.kind}`, () => runProbe(probe, value, clock)),
  onError: () => {},
});

if (job.kind === 'rotate') {
  await rotateSecret(world.rotate, job.name);
} else if (job.kind === 'record' || job.kind === 'deliver') {
  await notify(job);
} else {
  const vault = new VaultSession({ client: world.client, method: tokenAuth(new Secret(job.token)) });
  const caller = { vault, name: 'crash-test', who: {} };
  const deps = {
    vault: world.vault,
    book: world.leases,
    policy: { scanIntervalMs: 1_000, lookAheadMs: 2_000 },
    namespace: described.namespace,
    authNamespace: '',
    replaceGraceMs: 1_000,
    now: world.now,
  };
  if (job.kind === 'issue') await issueSecret(deps, caller, { path: 'database/creds/app' });
  else {
    const entry = await ownLease(deps, caller, job.leaseId);
    if (entry === undefined) throw new Error('The lease is not known as the caller’s own.');
    await revokeLease(deps, entry);
  }
}
await world.close();
console.log(JSON.stringify(killSwitch.labels));

/** What `notify` does with an event, or with what a scan has found. Its pauses pass at once. */
async function notify(what: Extract<z.output<typeof jobSchema>['job'], { kind: 'record' | 'deliver' }>) {
  let slept = 0;
  const sender = createSender({ allow: ['http://127.0.0.1'] });
  const notifier = openNotify({
    notices: new NoticeStore(world.store),
    book: world.deliveries,
    bus,
    sender: {
      send: (request) => killSwitch.call('POST endpoint', () => sender.send(request)),
      close: () => sender.close(),
    },
    metrics: noMetrics,
    now: () => world.now() + slept,
    random: () => 0.5,
    sleep: async (ms) => {
      slept += ms;
    },
    onError: () => {},
  });
  if (what.kind === 'deliver') await workOnDue(notifier, { shard: 0 });
  else await (await notifier.recorder.record(what.event)).delivered;
  await sender.close();
}
