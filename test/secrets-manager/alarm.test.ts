import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Alarm } from '../../lib/secrets-manager/alarm.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('rings once, at its time', () => {
  const ring = vi.fn();
  new Alarm(ring, Date.now).set(Date.now() + 5_000);
  vi.advanceTimersByTime(4_999);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(ring).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1_000_000);
  expect(ring).toHaveBeenCalledTimes(1);
});

test('a delay above 2^31−1 ms neither rings at once nor is lost', () => {
  const ring = vi.fn();
  const delay = 2 ** 31 + 86_400_000;
  new Alarm(ring, Date.now).set(Date.now() + delay);
  vi.advanceTimersByTime(delay - 1);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(ring).toHaveBeenCalledTimes(1);
});

test('no timer is ever longer than Node can hold, and none keeps the process alive', () => {
  vi.useRealTimers();
  const set = vi.spyOn(globalThis, 'setTimeout');
  const alarm = new Alarm(() => {}, Date.now);
  alarm.set(Date.now() + 2 ** 40);
  expect(set.mock.calls[0]?.[1]).toBeLessThan(2 ** 31);
  const timer = set.mock.results[0]?.value;
  expect(timer?.hasRef()).toBe(false);
  alarm.stop();
  set.mockRestore();
});

test('after the machine slept, it rings within a minute of waking', () => {
  const ring = vi.fn();
  let slept = 0;
  new Alarm(ring, () => Date.now() + slept).set(Date.now() + 3_600_000);
  vi.advanceTimersByTime(30_000);
  slept = 7_200_000;
  vi.advanceTimersByTime(60_000);
  expect(ring).toHaveBeenCalledTimes(1);
});

test('set for the past, it rings soon but not in a hot loop', () => {
  let rung = 0;
  const alarm = new Alarm(() => {
    rung += 1;
    alarm.set(0);
  }, Date.now);
  alarm.set(0);
  expect(rung).toBe(0);
  vi.advanceTimersByTime(1_000);
  expect(rung).toBe(50);
});

test('setting it anew replaces the time, and stop ends it', () => {
  const ring = vi.fn();
  const alarm = new Alarm(ring, Date.now);
  alarm.set(Date.now() + 1_000);
  alarm.set(Date.now() + 2_000);
  vi.advanceTimersByTime(1_500);
  expect(ring).not.toHaveBeenCalled();
  alarm.stop();
  vi.advanceTimersByTime(10_000);
  expect(ring).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});
