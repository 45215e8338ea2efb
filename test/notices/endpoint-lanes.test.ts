import { expect, it } from 'vitest';
import { EndpointLanes } from '../../lib/notices/endpoint-lanes.ts';

/** Work that is under way until it is told to end. */
function held() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { work: () => promise, end: resolve };
}
const turns = () => new Promise((resolve) => setImmediate(resolve));

it('an endpoint has four at once, also while some end and others come', async () => {
  const lanes = new EndpointLanes();
  let running = 0;
  let most = 0;
  const all: (() => void)[] = [];
  const ended: Promise<void>[] = [];
  const run = () => {
    const { work, end } = held();
    all.push(end);
    ended.push(
      lanes.run('_all:one', async () => {
        running += 1;
        most = Math.max(most, running);
        await work();
        running -= 1;
      }),
    );
  };

  for (let n = 0; n < 6; n += 1) run();
  await turns();
  expect(running).toBe(4);
  for (let n = 0; n < 6; n += 1) {
    all[n]?.();
    run();
    await turns();
  }
  for (const end of all) end();
  await Promise.all(ended);

  expect([most, running]).toEqual([4, 0]);
});

it('an endpoint waits for no other', async () => {
  const lanes = new EndpointLanes();
  const slow = Array.from({ length: 8 }, held);
  const waiting = slow.map(({ work }) => lanes.run('_all:slow', work));

  expect(await lanes.run('_all:well', async () => 'done')).toBe('done');

  for (const { end } of slow) end();
  await Promise.all(waiting);
});

it('goes on after one that throws', async () => {
  const lanes = new EndpointLanes();
  const failing = Array.from({ length: 8 }, (_, n) =>
    lanes.run('_all:one', () => Promise.reject(new Error(`fault ${n}`))),
  );
  const results = await Promise.allSettled(failing);

  expect(results.every(({ status }) => status === 'rejected')).toBe(true);
  expect(await lanes.run('_all:one', async () => 'done')).toBe('done');
});
