import { createServer } from 'node:http';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { freePorts } from '../../../lib/host/local/free-port.ts';
import { startOneProcess } from '../../../lib/host/local/one-process.ts';
import { hostOn } from '../../support/host-on.ts';
import { listening } from '../../support/listening.ts';

afterEach(() => vi.restoreAllMocks());

/** The host before a Vault at a port of this machine, and what a route of its own answers. */
async function startBefore(port: number) {
  const host = await startOneProcess({
    ...hostOn(
      { address: `http://127.0.0.1:${port}`, rootToken: 'none' },
      { LEASEKEEPER_SCAN_INTERVAL: '0.1' },
    ),
  });
  const ask = async (route: string) => {
    const answer = await fetch(`${host.address}/${route}`);
    return `${answer.status} ${await answer.text()}`;
  };
  return { host, ask };
}

it('lives on and never gets ready while Vault is away, however long that is', async () => {
  const [closed = 0] = await freePorts(1);
  const start = Date.now();
  const clock = vi.spyOn(Date, 'now').mockReturnValue(start);
  const { host, ask } = await startBefore(closed);
  onTestFinished(() => host.close());
  await expect.poll(() => ask('healthz'), { timeout: 20_000 }).toContain('failing');
  expect(await ask('readyz')).toBe('503 {"status":"starting"}');

  clock.mockReturnValue(start + 86_400_000);

  // Every scan since has failed; but they end.
  await expect.poll(() => ask('livez'), { timeout: 20_000 }).toBe('200 {"status":"ok"}');
});

it('says that it is ending while a scan is still under way', async () => {
  let asked = 0;
  // It never answers.
  const vault = await listening(
    createServer(() => {
      asked += 1;
    }),
  );
  const { host, ask } = await startBefore(vault.port);
  await expect.poll(() => asked).toBeGreaterThan(0);

  const closed = host.close();

  expect(await ask('readyz')).toBe('503 {"status":"stopping"}');
  expect(await ask('livez')).toBe('200 {"status":"ok"}');
  await vault[Symbol.asyncDispose]();
  await closed;
});
