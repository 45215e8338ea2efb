import { expect, it, onTestFinished } from 'vitest';
import { notifyFunction } from '../../../functions/notify.ts';
import { detailOf } from '../../../lib/bus/envelope.ts';
import type { LeasekeeperEvent } from '../../../lib/bus/events.ts';
import { onLambda } from '../../../lib/host/lambda.ts';
import { localContext } from '../../../lib/host/local/lambda-invocation.ts';
import { startOneProcess } from '../../../lib/host/local/one-process.ts';
import { keyOf } from '../../../lib/notices/dispatch.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { NEW_SECRET, rotated, subscriptionOf } from '../../notices/events.ts';
import { receiveHttp } from '../../notices/receiver.ts';
import { hostOn } from '../../support/host-on.ts';
import { until } from '../../support/until.ts';
import { createWorld, leaseSpecification, openWorld } from '../../support/world.ts';
import { createNoticeWorld } from './notice-world.ts';

/** Keeps an endpoint's answers back until it is told to give them. */
function heldAnswers() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { released: promise, release: resolve };
}

/** Enough for a host to begin with; nobody logs in by it. */
const environment = {
  VAULT_ADDR: 'http://127.0.0.1:1',
  VAULT_TOKEN: 'unused',
  LEASEKEEPER_AUTH: 'token',
};

/** A message of the queue, as Lambda hands it over. */
const messageOf = (event: LeasekeeperEvent, messageId: string) => ({
  messageId,
  body: JSON.stringify({
    version: '0',
    id: messageId,
    'detail-type': event.type,
    source: 'leasekeeper',
    account: '000000000000',
    time: event.time,
    region: 'local',
    resources: [],
    detail: detailOf(event),
  }),
});

it('on Lambda, which freezes it then, answers only when the first attempts have ended and are written', async () => {
  const there = await createNoticeWorld();
  const held = heldAnswers();
  const received = await there.subscribe((response) => {
    void held.released.then(() => response.writeHead(204).end());
  });
  const events = [1, 2].map((generation) => rotated('app', [], generation));
  const worker = there.worker();
  const handler = notifyFunction(onLambda('notify', () => worker, environment));
  let answered = false;
  const Records = events.map((event, index) => messageOf(event, `m${index}`));
  const answer = handler({ Records }, localContext('notify')).finally(() => {
    answered = true;
  });
  const states = async () => {
    const found = await Promise.all(events.map((event) => there.dispatch(event)));
    return found.flatMap((one) => Object.values(one?.notices ?? {}).map(({ state }) => state));
  };
  await until(() => received.length === 2);
  expect([await states(), answered]).toEqual([['pending', 'pending'], false]);

  held.release();

  expect(await answer).toEqual({ batchItemFailures: [] });
  expect(await states()).toEqual(['delivered', 'delivered']);
});

it('in one process answers at once, and has ended all attempts before the process closes', async () => {
  const world = openWorld(await createWorld());
  onTestFinished(() => world.close());
  const held = heldAnswers();
  let asked = 0;
  const { port } = await receiveHttp((_request, response) => {
    asked += 1;
    void held.released.then(() => response.writeHead(204).end());
  });
  const notices = new NoticeStore(world.store);
  const subscription = subscriptionOf({
    url: `http://127.0.0.1:${port}/`,
    secrets: [{ secret: NEW_SECRET }],
  });
  await notices.saveSubscription(subscription, 0);
  await world.secrets.apply(leaseSpecification(world));
  const published: LeasekeeperEvent[] = [];
  const host = await startOneProcess({
    ...hostOn(world, { LEASEKEEPER_SCAN_INTERVAL: '3600', LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.1' }),
    onEvent: (event) => published.push(event),
  });
  await until(() => asked === 1, 20_000);

  // Whoever published it has its outbox cleared while the endpoint lets it wait.
  await until(async () => {
    const { outbox } = (await world.secrets.read('app-database'))?.state ?? {};
    return outbox !== undefined && Object.keys(outbox).length === 0;
  });
  let closed = false;
  const closing = host.close().then(() => {
    closed = true;
  });
  const rotation = published.find((event) => event.type === 'secret.rotated');
  if (rotation === undefined) throw new Error('nothing was rotated');
  const states = async () => {
    const found = await notices.dispatch(keyOf(rotation));
    return Object.values(found?.document.notices ?? {}).map(({ state }) => state);
  };
  expect([await states(), closed]).toEqual([['pending'], false]);
  held.release();
  await closing;

  expect(await states()).toEqual(['delivered']);
});
