import { expect, test, vi } from 'vitest';
import { untilAborted, waitAtMost } from '../../lib/secrets-manager/waiting.ts';

test('waitAtMost tells whether the promise settled, however it did', async () => {
  expect(await waitAtMost(Promise.resolve(1), 60_000)).toBe(true);
  expect(await waitAtMost(Promise.reject(new Error('x')), 60_000)).toBe(true);
  vi.useFakeTimers();
  const waiting = waitAtMost(new Promise(() => {}), 5_000);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await waiting).toBe(false);
  vi.useRealTimers();
});

test('untilAborted gives the promise, or the signal’s reason when that comes first', async () => {
  expect(await untilAborted(Promise.resolve(1), undefined)).toBe(1);
  const controller = new AbortController();
  expect(await untilAborted(Promise.resolve(2), controller.signal)).toBe(2);
  const waiting = untilAborted(new Promise(() => {}), controller.signal);
  controller.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await expect(untilAborted(new Promise(() => {}), controller.signal)).rejects.toThrow('enough');
});
