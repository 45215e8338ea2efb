import { beforeEach, expect, it } from 'vitest';
import type { AttemptResult } from '../../../lib/notices/notice.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { recordingExchanges } from './fault-transport.ts';
import { createNoticeWorld, type NoticeWorld, status, type WorkerOptions } from './notice-world.ts';

const ID = '_all:one';
const failed: AttemptResult = { kind: 'retry', status: 500 };
const gone: AttemptResult = { kind: 'gone', status: 410, durationMs: 1 };

let there: NoticeWorld;
beforeEach(async () => {
  there = await createNoticeWorld();
  await there.subscribe(status(204), { id: ID });
});

const found = async () => (await there.notices.subscription(ID)) ?? fail();

/** A worker that already knows the subscriptions. */
async function knowing(options: WorkerOptions = {}) {
  const worker = there.worker(options);
  const report = async (result: AttemptResult) => {
    const known = (await worker.subscriptions.find(ID)) ?? fail();
    await worker.health.report(known, result);
  };
  await worker.subscriptions.all();
  return { worker, report };
}

it('what another worker wrote meanwhile is learnt, and not written again', async () => {
  const exchanges = recordingExchanges();
  const [one, other] = [await knowing(), await knowing({ transport: exchanges.transport })];
  await one.report(failed);
  there.clock.now += 1_000;
  exchanges.requests.splice(0);

  await other.report(failed);
  await other.report(failed);

  expect((await found()).version).toBe(2);
  // The second time it knows.
  expect(exchanges.requests).toHaveLength(1);
});

it('an end that was found out while somebody else changed the subscription is written all the same', async () => {
  let changed = false;
  const changing = (real: Transport): Transport => ({
    exchange: async (request) => {
      const answer = await real.exchange(request);
      if (!changed && request.method === 'GET' && request.path.includes('/data/subscriptions/') && armed) {
        changed = true;
        const { document, version } = await found();
        await there.notices.saveSubscription({ ...document, description: 'changed' }, version);
      }
      return answer;
    },
    close: () => real.close(),
  });
  let armed = false;
  const { report } = await knowing({ transport: changing });
  armed = true;

  await report(gone);

  const { document } = await found();
  expect(document).toMatchObject({ description: 'changed', disabled: { reason: 'gone' } });
});

it('of a subscription that is no more nothing is written', async () => {
  const { report } = await knowing();
  await there.notices.deleteSubscription(ID);

  await report(failed);
  await report(gone);

  expect(await there.notices.subscription(ID)).toBeUndefined();
  expect(there.published).toEqual([]);
});

function fail(): never {
  throw new Error('no such subscription');
}
