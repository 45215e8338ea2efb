import { beforeEach, expect, it } from 'vitest';
import type { KnownSubscriptions } from '../../../lib/notices/known-subscriptions.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { recordingExchanges } from './fault-transport.ts';
import { createNoticeWorld, type NoticeWorld, status } from './notice-world.ts';

const ID = '_all:one';

let there: NoticeWorld;
beforeEach(async () => {
  there = await createNoticeWorld();
});

const idsOf = async (known: KnownSubscriptions) => (await known.all()).map(({ id }) => id);
const known = (transport?: (real: Transport) => Transport): KnownSubscriptions =>
  there.worker(transport === undefined ? {} : { transport }).subscriptions;

it('are read once for all that ask within ten seconds, and then again', async () => {
  const exchanges = recordingExchanges();
  const subscriptions = known(exchanges.transport);
  await there.subscribe(status(204), { id: ID });

  await Promise.all([subscriptions.all(), subscriptions.find(ID), subscriptions.all()]);
  const asked = exchanges.requests.length;
  there.clock.now += 9_999;
  await subscriptions.find(ID);
  expect(exchanges.requests).toHaveLength(asked);

  there.clock.now += 1;
  await subscriptions.find(ID);
  expect(exchanges.requests).toHaveLength(2 * asked);
});

it('looks once at one that it does not know yet', async () => {
  const exchanges = recordingExchanges();
  const subscriptions = known(exchanges.transport);
  expect(await idsOf(subscriptions)).toEqual([]);
  await there.subscribe(status(204), { id: ID });
  exchanges.requests.splice(0);

  expect((await subscriptions.find(ID))?.id).toBe(ID);
  expect((await subscriptions.find(ID))?.id).toBe(ID);

  expect(exchanges.requests).toHaveLength(1);
  expect(await idsOf(subscriptions)).toEqual([ID]);
});

it('looks again at one that was disabled, which somebody may have enabled since', async () => {
  const disabled = { at: there.clock.now, reason: 'by_hand' as const };
  await there.subscribe(status(204), { id: ID, disabled });
  const subscriptions = known();
  expect((await subscriptions.find(ID))?.disabled).toEqual(disabled);
  const { document, version } = (await there.notices.subscription(ID)) ?? fail();
  const { disabled: _, ...enabled } = document;
  await there.notices.saveSubscription(enabled, version);

  expect(await subscriptions.find(ID)).toEqual(enabled);
});

it('are read again at once when Vault could not be asked', async () => {
  await there.subscribe(status(204), { id: ID });
  let away = true;
  const subscriptions = known((real) => ({
    exchange: (request) => {
      if (away) throw new VaultError('vault_unreachable', 'The connection was refused.');
      return real.exchange(request);
    },
    close: () => real.close(),
  }));
  await expect(subscriptions.all()).rejects.toMatchObject({ code: 'vault_unreachable' });
  away = false;

  expect(await idsOf(subscriptions)).toEqual([ID]);
});

function fail(): never {
  throw new Error('no such subscription');
}
