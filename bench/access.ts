/**
 * What it costs to get a secret through Leasekeeper and not by hand: from SecretsManager's cache, from Vault through SecretsManager, and a
 * lease by HTTP; each against the least that could do it. `node bench/access.ts` prints ratios of times, taken in turns in one run, and
 * counts of requests; absolute times say nothing on a machine that others share. Fails when 1,000 callers of one path ask Vault more than
 * once.
 */
import { cachedReads } from './cached-reads.ts';
import { withGround } from './ground.ts';
import { leases } from './leases.ts';
import { uncachedReads } from './uncached-reads.ts';

const stopped = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopped.abort());

try {
  await withGround(stopped.signal, async (ground) => {
    await cachedReads(ground, stopped.signal);
    const reads = await uncachedReads(ground, stopped.signal);
    const issued = await leases(ground, stopped.signal);
    console.log('\nRequests to Vault');
    console.table({ ...reads, ...issued }, [
      'in all',
      'login',
      'mount lookup',
      'read',
      'credentials',
      'agenda',
    ]);
  });
} catch (error) {
  if (!stopped.signal.aborted) throw error;
  process.exitCode = 130;
}
