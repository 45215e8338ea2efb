import { beforeEach, describe, expect, it } from 'vitest';
import { keyOf } from '../../../lib/notices/dispatch.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { rotated } from '../../notices/events.ts';
import { type Fault, nthWrite } from './fault-transport.ts';
import { createNoticeWorld, deliverDue, type NoticeWorld, send, status } from './notice-world.ts';

const MINUTE = 60_000;
const one = rotated('app', [], 1);
const other = rotated('app', [], 2);

let there: NoticeWorld;
beforeEach(async () => {
  there = await createNoticeWorld();
});

/** Cuts the connection to Vault before or after it has carried out what `fault` says; the worker goes on. */
function cutting(when: 'before' | 'after', fault: Fault): (real: Transport) => Transport {
  return (real) => ({
    exchange: async (request) => {
      const cut = fault(request);
      if (!cut || when === 'after') {
        const answer = await real.exchange(request);
        if (!cut) return answer;
      }
      throw new VaultError('vault_unreachable', 'The connection was cut.', { processed: 'maybe' });
    },
    close: () => real.close(),
  });
}

/** Does something once Vault has carried out what `moment` says. */
function pausing(moment: Fault, work: () => Promise<unknown>): (real: Transport) => Transport {
  return (real) => ({
    exchange: async (request) => {
      const answer = await real.exchange(request);
      if (moment(request)) await work();
      return answer;
    },
    close: () => real.close(),
  });
}

const writesTo =
  (folder: string): Fault =>
  ({ method, path }) =>
    method === 'PUT' && path.includes(`/data/${folder}`);

const stateOf = async (event: typeof one) =>
  Object.values((await there.dispatch(event))?.notices ?? {}).map(({ state }) => state);

async function visits(count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    there.clock.now += 3 * MINUTE;
    await deliverDue(there.worker());
  }
}

describe('events that are recorded together', () => {
  it.each(['before', 'after'] as const)(
    'do not fail together: one whose connection was cut %s it was written comes again, the other is told at once',
    async (when) => {
      const received = await there.subscribe(status(204));
      const worker = there.worker({ transport: cutting(when, writesTo(`dispatches/${keyOf(one)}`)) });

      const [failed, recorded] = await Promise.allSettled([
        worker.recorder.record(one),
        worker.recorder.record(other),
      ]);

      expect(failed).toMatchObject({ status: 'rejected', reason: { code: 'vault_unreachable' } });
      if (recorded.status !== 'fulfilled') throw recorded.reason;
      await recorded.value.delivered;
      expect(received.map(({ id }) => id)).toEqual([other.id]);
      // The bus gives it again; should it have been recorded after all, the agenda has it.
      await send(there.worker(), one);
      await visits(2);
      expect(received.map(({ id }) => id)).toEqual([other.id, one.id]);
    },
  );

  it('are not answered for, none of them, when the agenda was not told', async () => {
    const received = await there.subscribe(status(204));
    const worker = there.worker({ transport: cutting('before', writesTo('agenda/deliveries/inbox')) });

    const answers = await Promise.allSettled([one, other].map((event) => worker.recorder.record(event)));

    expect(answers.map((answer) => answer.status)).toEqual(['rejected', 'rejected']);
    expect(await Promise.all([stateOf(one), stateOf(other)])).toEqual([[], []]);
    await Promise.all([one, other].map((event) => send(there.worker(), event)));
    expect(received).toHaveLength(2);
  });

  it('are not answered for when one of those who want them could not be read: nobody would tell it later', async () => {
    const [first, second] = [await there.subscribe(status(204)), await there.subscribe(status(204))];
    const [{ id = '' } = {}] = await there.notices.subscriptions(() => {});
    const reads: Fault = ({ path }) => path.endsWith(`/data/subscriptions/${id.replace(':', '/')}`);
    const worker = there.worker({ transport: cutting('before', reads) });

    await expect(worker.recorder.record(one)).rejects.toMatchObject({ code: 'vault_unreachable' });
    await send(there.worker(), one);

    expect([first.length, second.length]).toEqual([1, 1]);
  });

  it('are told each for itself: where one cannot be tried again, the hints of the others go', async () => {
    await there.subscribe((response, count) => status(count === 1 ? 500 : 204)(response, count));
    const spoil = () => there.world.store.write(`dispatches/${keyOf(one)}`, { json: '{' }, 2);
    // Once it has been written that the first attempt failed.
    let written = 0;
    const second: Fault = (request) => {
      if (writesTo(`dispatches/${keyOf(one)}`)(request)) written += 1;
      return written === 2;
    };
    const worker = there.worker({
      transport: pausing(second, async () => {
        written += 1;
        await spoil();
      }),
    });

    const first = await worker.recorder.record(one);
    await Promise.all([first.delivered, send(worker, other)]);

    expect(there.errors).toMatchObject([{ code: 'notice_document_unreadable' }]);
    expect([await there.hint(one), await there.hint(other)]).toEqual([expect.anything(), undefined]);
  });

  it('are told, although their hints could not be settled; who looks at these later drops them', async () => {
    const received = await there.subscribe(status(204));
    const shards: Fault = ({ path }) => path.includes('/data/agenda/deliveries/shards/');
    const worker = there.worker({ transport: cutting('before', shards) });

    const { delivered } = await worker.recorder.record(one);
    await expect(delivered).resolves.toBeUndefined();

    expect(there.errors).toMatchObject([{ code: 'vault_unreachable' }]);
    await visits(1);
    expect([received.length, await stateOf(one), await there.hint(one)]).toEqual([
      1,
      ['delivered'],
      undefined,
    ]);
  });
});

it.each(['before', 'after'] as const)(
  'a result is written, and once, when the connection was cut %s the first try',
  async (when) => {
    const received = await there.subscribe((response, count) =>
      status(count === 1 ? 503 : 204)(response, count),
    );
    const worker = there.worker({ transport: cutting(when, nthWrite('dispatches', 2)) });

    await send(worker, one);

    const notice = Object.values((await there.dispatch(one))?.notices ?? {})[0];
    expect(notice).toMatchObject({
      state: 'delivered',
      tries: 2,
      attempts: [{ status: 503 }, { status: 204 }],
    });
    expect([received.length, there.errors]).toEqual([2, []]);
  },
);
