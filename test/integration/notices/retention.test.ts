import { beforeEach, expect, it, vi } from 'vitest';
import { endOfKeeping, keyOf } from '../../../lib/notices/dispatch.ts';
import { deleteDay } from '../../../lib/notices/retention.ts';
import { rotated } from '../../notices/events.ts';
import { createNoticeWorld, deliverDue, type NoticeWorld, send, status } from './notice-world.ts';

const MINUTE = 60_000;
const DAY = '2026-11-21';
const event = rotated('app');

let there: NoticeWorld;
beforeEach(async () => {
  there = await createNoticeWorld();
  await there.subscribe(status(204));
});

it('a dispatch that comes when its day has just been deleted goes too', async () => {
  const worker = there.worker();
  await send(worker, event);
  const { document } = (await there.notices.dispatch(keyOf(event))) ?? fail();
  there.clock.now = endOfKeeping(DAY);
  await deliverDue(worker);
  expect(await there.notices.dispatchesOf(DAY)).toEqual([]);
  // Its writer has posted the hint of the day, and was slow.
  await there.notices.saveDispatch(keyOf(rotated('late')), document, 0);
  there.clock.now += 3 * MINUTE;

  await deliverDue(worker);

  expect(await there.notices.dispatchesOf(DAY)).toEqual([]);
});

it('a day of very many dispatches goes in parts, each within a claim', async () => {
  const keys = Array.from({ length: 5_001 }, (_, index) => `${DAY}/evt_${index}`);
  vi.spyOn(there.notices, 'dispatchesOf').mockImplementation(async () => keys);
  const deleted = vi.spyOn(there.notices, 'deleteDispatch').mockImplementation(async () => {});

  const left = await deleteDay(there.notices, DAY, there.clock.now);
  expect(deleted.mock.calls.map(([key]) => key)).toEqual(keys.slice(0, 5_000));
  // At once, by whoever comes next.
  expect(left).toEqual({ version: 1, due: there.clock.now });

  keys.splice(0, 5_000);
  expect((await deleteDay(there.notices, DAY, there.clock.now)).due).toBeUndefined();
  expect(deleted).toHaveBeenLastCalledWith(`${DAY}/evt_5000`);
});

function fail(): never {
  throw new Error('no dispatch');
}
