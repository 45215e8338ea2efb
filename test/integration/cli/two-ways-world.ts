import { main } from '../../../lib/cli/main.ts';
import { startOneProcess } from '../../../lib/host/local/one-process.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { hostOn } from '../../support/host-on.ts';
import { until } from '../../support/until.ts';
import { openWorld } from '../../support/world.ts';
import { createAccessCluster } from '../access/access-cluster.ts';
import { createAccessWorld, createToken } from '../access/access-world.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

export type Way = 'vault' | 'http';
export const WAYS = ['vault', 'http'] as const;

/** A host that works on a Vault, and the commands by either way, as an operator. */
export type TwoWays = Awaited<ReturnType<typeof startTwoWays>>;

export async function startTwoWays() {
  const described = await createAccessWorld();
  const world = openWorld(described);
  const cluster = await createAccessCluster();
  await cluster.role('operators', 'ada', [described.operatorPolicy]);
  const operator = await createToken([described.operatorPolicy], { display_name: 'ada' });
  const host = await startOneProcess({
    ...hostOn(world, {
      LEASEKEEPER_SCAN_INTERVAL: '1',
      LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.1',
      LEASEKEEPER_CALLER_MOUNTS: `kubernetes,${cluster.mount}`,
    }),
  });
  const close = async () => {
    await host.close();
    await cluster.close();
    await world.close();
  };
  const environmentOf = {
    vault: {
      VAULT_ADDR: world.address,
      VAULT_NAMESPACE: world.namespace,
      LEASEKEEPER_STATE_MOUNT: world.stateMount,
      LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.1',
    },
    // Nothing of Vault: a port where nobody is, should one of the commands go there.
    http: { VAULT_ADDR: 'http://127.0.0.1:1', LEASEKEEPER_URL: host.address },
  };
  const run = async (way: Way, args: readonly string[], more: RunOptions = {}): Promise<Ran> => {
    const out: string[] = [];
    const error: string[] = [];
    const code = await main(args, {
      environment: { ...environmentOf[way], VAULT_TOKEN: operator, ...more.environment },
      out: (line) => out.push(line),
      error: (line) => error.push(line),
      input: async () => more.input ?? '',
    });
    return { code, out: out.join('\n'), error: error.join('\n') };
  };
  /** What a command that changes nothing says by Vault and over HTTP, with nothing having changed in between. */
  const both = async (args: readonly string[], more?: RunOptions): Promise<Readonly<Record<Way, Ran>>> => {
    for (;;) {
      const vault = await run('vault', args, more);
      const http = await run('http', args, more);
      if (JSON.stringify(await run('vault', args, more)) === JSON.stringify(vault)) return { vault, http };
    }
  };
  try {
    await until(async () => (await fetch(`${host.address}/healthz`)).ok);
  } catch (error) {
    await close();
    throw error;
  }
  return { world, cluster, host, notices: new NoticeStore(world.store), run, both, close };
}

interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
}
