import { Webhook } from 'standardwebhooks';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { headers } from '../../../lib/notices/signature.ts';
import { signingSecretsAt } from '../../../lib/notices/subscription.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { type Functions, type FunctionsOptions, openFunctions } from './access-world.ts';
import {
  createdSchema,
  createSubscriberWorld,
  type SubscriberWorld,
  stored,
  subscribersOf,
} from './subscriber-world.ts';

let world: SubscriberWorld;
let functions: Functions;
let ask: ReturnType<typeof subscribersOf>['ask'];
let create: ReturnType<typeof subscribersOf>['create'];
let listed: ReturnType<typeof subscribersOf>['listed'];

/** The functions as a process of their own has them. */
function open(options?: FunctionsOptions): void {
  functions = openFunctions(world, options);
  ({ ask, create, listed } = subscribersOf(world, functions));
}

beforeAll(async () => {
  world = await createSubscriberWorld();
});
beforeEach(() => open());

describe('the signing secret', () => {
  it('is in the answers that make it, and nowhere else', async () => {
    const log: string[] = [];
    open({ log, bus: { publish: () => Promise.reject(new Error('Away.')) } });
    const { secret: first, ...made } = await create('anna');
    const path = `/${made.id}`;
    const rotated = await ask('anna', 'POST', `${path}/rotate-secret`);
    const { secret: second, ...shown } = createdSchema.parse(rotated.body);
    const url = String(made.url);

    const others = [
      await ask('anna', 'GET', path),
      await ask('anna', 'GET', '', { query: { consumer: 'anna' } }),
      await ask('operator', 'GET', ''),
      await ask('anna', 'PATCH', path, { body: { types: ['lease.*'] } }),
      await ask('anna', 'PATCH', path, { body: { secrets: [{ secret: first }] } }),
      await ask('anna', 'POST', '', { body: { consumer: 'anna', url, types: ['lease.*'] } }),
      await ask('anna', 'POST', `${path}/test`),
      await ask('anna', 'POST', `${path}/replay`, { body: { failed: true } }),
      await ask('anna', 'GET', `${path}/notices`),
      await ask('anna', 'POST', `${path}/disable`),
      await ask('anna', 'POST', `${path}/enable`),
      await ask('bert', 'GET', path),
      await ask('anna', 'DELETE', path),
    ];
    expect(others.map(({ status }) => status)).toEqual([
      ...[200, 200, 200, 200, 422, 409, 202, 202, 200, 200, 200, 403, 204],
    ]);
    const text = JSON.stringify([made, shown, others, functions.audited, functions.published, log]);
    for (const secret of [first, second]) expect(text).not.toContain(secret.slice('whsec_'.length, -1));
    expect(text).not.toContain('whsec_');
    expect(functions.audited).toHaveLength(15);
    expect(log.join('')).toContain('Away.');
  });

  it('that is rotated lets both sign until the overlap ends', async () => {
    const { id, secret: old } = await create('anna');
    const { secret: fresh, secrets } = createdSchema.parse(
      (await ask('anna', 'POST', `/${id}/rotate-secret`)).body,
    );
    const until = Date.parse(secrets[1]?.until ?? '');
    expect(until - Date.now()).toBeGreaterThan(23.9 * 3_600_000);
    expect(until - Date.now()).toBeLessThanOrEqual(24 * 3_600_000);

    expect([await verifies(id, old, until - 1), await verifies(id, fresh, until - 1)]).toEqual([true, true]);
    expect([await verifies(id, old, until), await verifies(id, fresh, until)]).toEqual([false, true]);
  });

  it('that has leaked signs no more, nor does any before it', async () => {
    const { id, secret: first } = await create('anna');
    const { secret: second } = createdSchema.parse((await ask('anna', 'POST', `/${id}/rotate-secret`)).body);
    const query = { overlap: '0s' };
    const answer = await ask('anna', 'POST', `/${id}/rotate-secret`, { query });
    const { secret: third, secrets } = createdSchema.parse(answer.body);

    expect(secrets).toEqual([{}]);
    const now = Date.now();
    expect(await Promise.all([first, second, third].map((one) => verifies(id, one, now)))).toEqual([
      false,
      false,
      true,
    ]);
  });

  /** Whether a receiver that knows `secret` takes a notice that is signed at `now`. */
  async function verifies(id: string, secret: string, now: number): Promise<boolean> {
    const found = await stored(world, id);
    if (found === undefined) throw new Error('no subscription');
    const body = '{"type":"secret.rotated"}';
    const secrets = signingSecretsAt(found.data, now);
    // The package looks at its own clock.
    const signed = headers({ id: 'evt_1', timestampSeconds: Math.floor(Date.now() / 1_000), body, secrets });
    try {
      new Webhook(secret).verify(body, signed);
      return true;
    } catch {
      return false;
    }
  }
});

describe('when the answer to a write is lost', () => {
  it('one subscription is made, and its secret is the one that was told', async () => {
    open({ transport: losingAnswers });
    const { id, secret, url } = await create('anna');
    expect((await stored(world, id))?.data.secrets).toEqual([{ secret }]);
    const { subscriptions } = await listed('anna', { consumer: 'anna' });
    expect(subscriptions.filter((one) => one.url === url)).toHaveLength(1);
  });

  it('one secret is made', async () => {
    const { id, secret: old } = await create('anna');
    open({ transport: losingAnswers });
    const { secret } = createdSchema.parse((await ask('anna', 'POST', `/${id}/rotate-secret`)).body);
    expect((await stored(world, id))?.data.secrets.map((one) => one.secret)).toEqual([secret, old]);
  });
});

/** The first write of a subscription goes through, and nobody learns of it. */
function losingAnswers(real: Transport): Transport {
  let lost = 0;
  return {
    exchange: async (request) => {
      const answer = await real.exchange(request);
      const isWrite = request.method === 'PUT' && request.path.includes('/data/subscriptions/');
      if (!isWrite || lost > 0) return answer;
      lost += 1;
      throw new VaultError('vault_unreachable', 'The connection broke off.', { processed: 'maybe' });
    },
    close: () => real.close(),
  };
}
