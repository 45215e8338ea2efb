import { expect, test } from 'vitest';
import { VaultError } from '../../../lib/index.ts';
import { until } from '../../support/until.ts';
import { consume, whoAmI } from './consumer.ts';
import { liveRoles, prepareGround } from './ground.ts';
import { listening } from './listening.ts';

const PATH = 'database/creds/app';

test.concurrent('the token reaches its max TTL: a new login, and the leases of the old token are replaced before it ends', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '1h', tokenTtl: '6s', tokenMaxTtl: '10s' }, onTestFinished);
  const manager = ground.manager({ overlapMs: 300 });
  const told = listening(manager);
  const consumer = consume(manager, PATH);
  await until(() => told.rotated.length >= 2, 40_000);
  await consumer.stop();
  expect(consumer.failures).toEqual([]);
  expect(told.lost).toEqual([]);
  expect(told.fault).toEqual([]);
  expect(ground.requests.filter(({ path }) => path.endsWith('/login')).length).toBeGreaterThanOrEqual(3);
  // The old tokens have ended, or were revoked in place of leases that may not be: their leases are gone with them.
  await until(async () => (await liveRoles(ground)).length === 1, 20_000);
  await manager.cleanup();
  await until(async () => (await liveRoles(ground)).length === 0);
});

test.concurrent('an idle manager keeps its token alive for the sake of its leases', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '1h', tokenTtl: '6s' }, onTestFinished);
  const manager = ground.manager();
  const secret = await manager.getDynamicSecret(PATH);
  const renewals = () => ground.requests.filter(({ path }) => path.endsWith('renew-self')).length;
  await until(() => renewals() >= 2, 20_000);
  expect(await whoAmI(secret)).toBe(secret.data.get('username'));
});

test.concurrent('while logging in fails, the old token serves to its end', async ({ onTestFinished }) => {
  const ground = await prepareGround({ tokenTtl: '12s', tokenMaxTtl: '12s' }, onTestFinished);
  let failures = 0;
  let locked = false;
  const manager = ground.manager({
    auth: {
      name: 'approle',
      login: (client) => {
        if (!locked) return ground.auth.login(client);
        failures += 1;
        return Promise.reject(new VaultError('vault_unavailable', 'The reviewer of tokens is away.'));
      },
    },
  });
  const told = listening(manager);
  const first = await manager.getDynamicSecret(PATH);
  locked = true;
  await until(() => failures > 0, 20_000);
  // Its old token is good for everything yet, another credential included.
  await manager.getDynamicSecret(PATH, { fresh: true });
  locked = false;
  await until(() => told.rotated.length === 1, 20_000);
  expect(told.lost).toEqual([]);
  expect(told.rotated[0]?.previous).toEqual({ leaseId: first.leaseId });
});
