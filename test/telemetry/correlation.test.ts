import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { correlated, correlationId } from '../../lib/telemetry/correlation.ts';

it('is known to all that an access leads to, and to nothing else', async () => {
  const seen: (string | undefined)[] = [];
  const work = async () => {
    seen.push(correlationId());
    await setImmediate();
    seen.push(correlationId());
  };
  await Promise.all([correlated('a', work), correlated('b', work)]);

  expect(seen.toSorted()).toEqual(['a', 'a', 'b', 'b']);
  expect(correlationId()).toBeUndefined();
});

it('is hidden by an inner one, and back after it', async () => {
  const seen = await correlated('outer', async () => {
    const inner = await correlated('inner', async () => correlationId());
    return [inner, correlationId()];
  });

  expect(seen).toEqual(['inner', 'outer']);
});

it('ends with the access, for what that leaves behind too', async () => {
  const leftBehind = Promise.withResolvers<void>();
  let later: Promise<string | undefined> | undefined;
  await correlated('a', async () => {
    later = leftBehind.promise.then(() => correlationId());
  });
  leftBehind.resolve();

  expect(await later).toBeUndefined();
});

it('ends when the access fails', async () => {
  const fault = new Error('fault');
  let later: Promise<string | undefined> | undefined;
  const failing = correlated('a', async () => {
    later = setImmediate().then(() => correlationId());
    throw fault;
  });

  await expect(failing).rejects.toBe(fault);
  expect(await later).toBeUndefined();
});
