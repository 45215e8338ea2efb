import { expect, test, vi } from 'vitest';
import { SecretsManagerEmitter } from '../../lib/secrets-manager/events.ts';

const ROTATED = { path: 'a', previous: { leaseId: 'x' }, current: { leaseId: 'y' } };

test('waits for asynchronous handlers', async () => {
  const events = new SecretsManagerEmitter(60_000);
  const gate = Promise.withResolvers<void>();
  events.on('rotated', () => gate.promise);
  let told = false;
  const emitting = events.emit('rotated', ROTATED).then(() => {
    told = true;
  });
  await new Promise(setImmediate);
  expect(told).toBe(false);
  gate.resolve();
  await emitting;
  expect(told).toBe(true);
});

test('does not wait for ever', async () => {
  vi.useFakeTimers();
  const events = new SecretsManagerEmitter(30_000);
  events.on('rotated', () => new Promise(() => {}));
  const emitting = events.emit('rotated', ROTATED);
  await vi.advanceTimersByTimeAsync(30_000);
  await emitting;
  vi.useRealTimers();
});

test('a handler that throws or rejects disturbs nobody: it is told as a fault', async () => {
  const events = new SecretsManagerEmitter(1_000);
  const faults: unknown[] = [];
  const other = vi.fn();
  events.on('lost', () => {
    throw new Error('thrown');
  });
  events.on('lost', () => Promise.reject(new Error('rejected')));
  events.on('lost', other);
  events.on('fault', ({ operation, error }) => faults.push([operation, String(error)]));
  events.on('fault', () => {
    throw new Error('no loop');
  });
  await events.emit('lost', { path: 'a', leaseId: 'x' });
  expect(other).toHaveBeenCalledTimes(1);
  expect(faults).toEqual([
    ['handler', 'Error: thrown'],
    ['handler', 'Error: rejected'],
  ]);
});

test('without any handler nothing happens, faults included', async () => {
  const events = new SecretsManagerEmitter(1_000);
  await events.emit('fault', { operation: 'renew', error: new Error('x') });
});

test('what on returns takes the handler away', async () => {
  const events = new SecretsManagerEmitter(1_000);
  const handler = vi.fn();
  const off = events.on('renewed', handler);
  off();
  await events.emit('renewed', { path: 'a', leaseId: 'x', expiresAt: 1 });
  expect(handler).not.toHaveBeenCalled();
});

test('who must know whether all went well waits as long as it takes', async () => {
  const events = new SecretsManagerEmitter(1);
  const gate = Promise.withResolvers<void>();
  events.on('rotated', () => {});
  const off = events.on('rotated', () => gate.promise);
  const told = events.tell('rotated', ROTATED);
  await events.emit('rotated', ROTATED);
  gate.resolve();
  expect(await told).toBe(true);
  off();
  events.on('rotated', () => Promise.reject(new Error('no')));
  expect(await events.tell('rotated', ROTATED)).toBe(false);
  expect(await events.tell('lost', { path: 'a', leaseId: 'x' })).toBe(true);
});
