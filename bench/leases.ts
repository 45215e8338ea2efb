import { request } from 'undici';
import { bareLogin, bareRead, CONSUMER, type Ground, NAMESPACE } from './ground.ts';
import { type RequestCount, requestsTo } from './request-count.ts';
import { COLUMNS, inTurns } from './turns.ts';

const TURNS = 150;
const WARM_UP = 5;
const CREDENTIALS = 'database/creds/api-gateway';

/** `POST /v1/leases` against a script that logs in and reads the same path of Vault. Only the first has its lease renewed. */
export async function leases(
  ground: Ground,
  signal: AbortSignal,
): Promise<Readonly<Record<string, RequestCount>>> {
  const [known = '', spare = '', ...unknown] = await ground.jwts(TURNS + WARM_UP + 2);
  const token = await bareLogin(ground.vault, known);
  const script = async () =>
    bareRead(ground.vault, await bareLogin(ground.vault, known), `${NAMESPACE}/${CREDENTIALS}`);
  const ready = () => bareRead(ground.vault, token, `${NAMESPACE}/${CREDENTIALS}`);
  const contenders = {
    script,
    'script, logged in': ready,
    cold: (turn: number) => lease(ground, unknown[turn] ?? ''),
    warm: () => lease(ground, known),
  };
  await lease(ground, known);
  const turns = await inTurns(contenders, { turns: TURNS, forMs: 13_000, warmUp: WARM_UP, signal });
  console.log(`\nPOST /v1/leases, against a script that reads database/creds itself; ${turns.count} turns`);
  const rows = {
    'caller unknown / script that logs in': turns.ratio('cold', 'script'),
    'caller known / script that logs in': turns.ratio('warm', 'script'),
    'caller known / script that has a token': turns.ratio('warm', 'script, logged in'),
  };
  console.table(rows, [...COLUMNS]);
  const count = (work: () => Promise<unknown>) => requestsTo(ground.vault, work);
  return {
    'script: login and credentials': await count(script),
    'script that has a token': await count(ready),
    'POST /v1/leases, caller unknown': await count(() => lease(ground, spare)),
    'POST /v1/leases, caller known': await count(() => lease(ground, known)),
  };
}

async function lease(ground: Ground, jwt: string): Promise<void> {
  const answer = await request(`${ground.leasekeeper}/v1/leases`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${jwt}`,
      'x-vault-role': CONSUMER,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ path: CREDENTIALS }),
  });
  const body = await answer.body.text();
  if (answer.statusCode !== 201) throw new Error(`a lease was refused with ${answer.statusCode}: ${body}`);
  JSON.parse(body);
}
