import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, inject, it } from 'vitest';
import * as z from 'zod';
import type { FrozenSettings } from '../../freeze/function.ts';
import { admin } from '../../support/admin.ts';
import { withPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { type Ground, liveRoles, prepareGround } from './ground.ts';

const source = fileURLToPath(new URL('../../freeze/function.ts', import.meta.url));
const { request } = admin(inject);

const answerSchema = z.object({
  leaseId: z.string(),
  username: z.string(),
  password: z.string(),
  key: z.string(),
  printed: z.string(),
  answeredAt: z.number(),
});
const sentSchema = z.object({ at: z.number(), path: z.string() });

/** A process that is frozen by SIGSTOP, as Lambda freezes what does not run: no timer fires, no packet is read. */
function startFunction(settings: FrozenSettings) {
  const child: ChildProcessWithoutNullStreams = spawn(process.execPath, [source, JSON.stringify(settings)]);
  const sent: z.infer<typeof sentSchema>[] = [];
  const faults: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    try {
      sent.push(sentSchema.parse(JSON.parse(line)));
    } catch {
      faults.push(line);
    }
  });
  const lines = createInterface({ input: child.stdout });
  const signal = (name: NodeJS.Signals) => child.pid !== undefined && process.kill(child.pid, name);
  return {
    sent,
    faults,
    invoke: async () => {
      const line = once(lines, 'line');
      child.stdin.write('\n');
      const [text] = await line;
      return answerSchema.parse(JSON.parse(String(text)));
    },
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    end: async () => {
      signal('SIGCONT');
      const ended = once(child, 'exit');
      child.stdin.end();
      child.kill();
      await ended;
    },
  };
}

type Answer = z.infer<typeof answerSchema>;

const worksFor = ({ username: user, password }: Answer) =>
  withPostgres(inject, (client) => client.query('SELECT 1'), { user, password }).then(
    () => true,
    () => false,
  );

async function prepare(): Promise<{ ground: Ground; settings: FrozenSettings }> {
  const ground = await prepareGround({ leaseTtl: '6s', tokenTtl: '8s', mayRevoke: true });
  await request('PUT', `${ground.namespace}/nvidia/data/api-key`, { data: { key: 'first' } });
  const { address } = inject('openbao');
  return { ground, settings: { address, namespace: ground.namespace, ...ground.identity } };
}

it('a function that is frozen past the end of its lease and of its token has current secrets at once, and works on nothing behind an answer', async ({
  onTestFinished,
}) => {
  const { ground, settings } = await prepare();
  const lambda = startFunction(settings);
  onTestFinished(lambda.end);

  const first = await lambda.invoke();
  expect(await worksFor(first)).toBe(true);
  expect(first.key).toBe('first');
  expect(first.printed).not.toContain(first.password);

  // Warm, within the safe life: nothing is asked of Vault.
  const before = lambda.sent.length;
  const warm = await lambda.invoke();
  expect(warm.leaseId).toBe(first.leaseId);
  expect(lambda.sent.length).toBe(before);

  // It runs on, but nobody invokes it: longer than until the renewal of lease and token would be due.
  await sleep(4_500);
  expect(lambda.sent.filter(({ at }) => at > warm.answeredAt)).toEqual([]);

  lambda.freeze();
  await request('PUT', `${ground.namespace}/nvidia/data/api-key`, { data: { key: 'second' } });
  await sleep(4_500);
  lambda.thaw();
  const thawed = await lambda.invoke();
  expect(thawed.leaseId).not.toBe(first.leaseId);
  expect(await worksFor(first)).toBe(false);
  expect(await worksFor(thawed)).toBe(true);
  expect(thawed.key).toBe('second');

  // Past two thirds of the lease: renewed within the invocation.
  await sleep(4_300);
  const renewed = await lambda.invoke();
  expect(renewed.leaseId).toBe(thawed.leaseId);
  expect(lambda.sent.at(-1)?.at).toBeLessThanOrEqual(renewed.answeredAt);
  expect(lambda.sent.some(({ path }) => path.endsWith('sys/leases/renew'))).toBe(true);
  await until(async () => (await liveRoles(ground)).join() === renewed.username, 20_000);
  expect(lambda.faults).toEqual([]);
}, 60_000);
