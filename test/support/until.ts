import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until a condition holds, looking every 50 ms. Throws when it does not within `boundMs` milliseconds. */
export async function until(condition: () => Promise<boolean> | boolean, boundMs = 10_000): Promise<void> {
  const end = Date.now() + boundMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`The condition did not hold within ${boundMs} ms.`);
    await sleep(50);
  }
}
