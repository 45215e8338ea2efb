import nodeVault from 'node-vault';
import { bareLogin, bareRead, type Ground, NAMESPACE, SECRETS } from './ground.ts';
import { type RequestCount, requestsTo } from './request-count.ts';
import { COLUMNS, inTurns, type Turns } from './turns.ts';

const NUMBERS = Array.from({ length: SECRETS }, (_, n) => n);
const MANY = 1_000;

/** `getSecret` with nothing kept against one bare request, and against node-vault, each to read the same path. */
export async function uncachedReads(
  ground: Ground,
  signal: AbortSignal,
): Promise<Readonly<Record<string, RequestCount>>> {
  const [jwt = ''] = await ground.jwts(1);
  const token = await bareLogin(ground.vault, jwt);
  const manager = ground.secretsManager({ cacheTtlMs: 0 });
  const library = nodeVault({ endpoint: ground.vault, token });
  const ways: Record<string, (n: number) => Promise<unknown>> = {
    bare: (n) => bareRead(ground.vault, token, `${NAMESPACE}/shared/data/bench-${n}`),
    getSecret: (n) => manager.getSecret(`shared/bench-${n}`),
    'node-vault': (n) => library.read(`${NAMESPACE}/shared/data/bench-${n}`),
  };
  const contenders = (numbers: readonly number[]) =>
    Object.fromEntries(
      Object.entries(ways).map(([name, read]) => [name, () => Promise.all(numbers.map(read))]),
    );
  const one = await inTurns(contenders([0]), { turns: 1_000, forMs: 7_000, warmUp: 50, signal });
  const fifty = await inTurns(contenders(NUMBERS), { turns: 120, forMs: 13_000, warmUp: 5, signal });
  console.log(
    `\nA getSecret that asks Vault each time; ${one.count} turns one after the other, ${fifty.count} of ${SECRETS} at once`,
  );
  console.table({ ...ratios('one after the other', one), ...ratios(`${SECRETS} paths at once`, fifty) }, [
    ...COLUMNS,
  ]);

  const count = (work: () => Promise<unknown>) => requestsTo(ground.vault, work);
  const cold = () => ground.secretsManager({});
  const cached = cold();
  const counts = {
    'bare read': await count(async () => ways.bare?.(0)),
    'node-vault read': await count(async () => ways['node-vault']?.(0)),
    'getSecret, the first of a process': await count(() => cached.getSecret('shared/bench-0')),
    'getSecret, cached': await count(() => cached.getSecret('shared/bench-0')),
    'getSecret, nothing kept': await count(async () => ways.getSecret?.(0)),
    [`getSecret, ${SECRETS} cold paths at once`]: await count(() => {
      const another = cold();
      return Promise.all(NUMBERS.map((n) => another.getSecret(`shared/bench-${n}`)));
    }),
    [`getSecret, ${MANY} at once of one cold path`]: await count(() => readMany(cold())),
  };
  assertOneRead(counts[`getSecret, ${MANY} at once of one cold path`]);
  return counts;
}

function readMany(manager: ReturnType<Ground['secretsManager']>): Promise<unknown> {
  return Promise.all(Array.from({ length: MANY }, () => manager.getSecret('shared/bench-0')));
}

/** However many ask for a path at once: one login, one look for its mount, one read. */
function assertOneRead(count: RequestCount | undefined): void {
  const { login, 'mount lookup': lookup, read, 'in all': all } = count ?? {};
  if (login === 1 && lookup === 1 && read === 1 && all === 3) return;
  throw new Error(`${MANY} callers of one cold path cost Vault ${JSON.stringify(count)}`);
}

function ratios(how: string, turns: Turns) {
  return {
    [`getSecret / bare, ${how}`]: turns.ratio('getSecret', 'bare'),
    [`node-vault / bare, ${how}`]: turns.ratio('node-vault', 'bare'),
    [`getSecret / node-vault, ${how}`]: turns.ratio('getSecret', 'node-vault'),
  };
}
