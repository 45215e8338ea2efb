import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Dispatch, keyOf, withNotice } from '../../../lib/notices/dispatch.ts';
import { DispatchWriter } from '../../../lib/notices/dispatch-writer.ts';
import { finished, newNotice } from '../../../lib/notices/notice.ts';
import { rotated } from '../../notices/events.ts';
import { until } from '../../support/until.ts';
import { recordingExchanges } from './fault-transport.ts';
import { createNoticeWorld, deliverDue, type NoticeWorld, send, status } from './notice-world.ts';

const MINUTE = 60_000;
const event = rotated('app');
const key = keyOf(event);
const ids = Array.from({ length: 100 }, (_, index) => `_all:n${index}`);

let there: NoticeWorld;
beforeEach(async () => {
  there = await createNoticeWorld();
});
afterEach(() => {
  vi.useRealTimers();
});

const delivered = (id: string) => (dispatch: Dispatch) =>
  withNotice(dispatch, id, (notice) => (notice.state === 'pending' ? finished(notice, 'delivered') : notice));
const found = async () => (await there.notices.dispatch(key)) ?? gone();

async function writers(count: number): Promise<DispatchWriter[]> {
  const notices = Object.fromEntries(ids.map((id) => [id, newNotice(there.clock.now)]));
  await there.notices.saveDispatch(key, { events: [event], created: 0, notices }, 0);
  const at = await found();
  return Array.from({ length: count }, () => new DispatchWriter(there.notices, key, at));
}

describe('a writer of a dispatch', () => {
  it('writes a hundred results that come together at once', async () => {
    const [writer = fail()] = await writers(1);

    const written = ids.map((id) => writer.changeSoon(delivered(id)));
    writer.flush();
    await Promise.all(written);

    const { document, version } = await found();
    expect(version).toBe(2);
    expect(Object.values(document.notices).every(({ state }) => state === 'delivered')).toBe(true);
  });

  it('writes by itself, and together, what comes within a second and nobody has flushed', async () => {
    const [writer = fail()] = await writers(1);

    const first = writer.changeSoon(delivered('_all:n0'));
    expect((await found()).version).toBe(1);
    await Promise.all([first, writer.changeSoon(delivered('_all:n1'))]);

    expect((await found()).version).toBe(2);
  });

  it('does so again after it was flushed', async () => {
    const [writer = fail()] = await writers(1);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const first = writer.changeSoon(delivered('_all:n0'));
    writer.flush();
    await first;
    vi.advanceTimersByTime(1_000);

    const second = writer.changeSoon(delivered('_all:n1'));
    vi.advanceTimersByTime(1_000);
    await second;

    expect((await found()).version).toBe(3);
  });

  it('writes what comes while it writes, one write at a time', async () => {
    const exchanges = recordingExchanges();
    await writers(0);
    const { notices } = there.worker({ transport: exchanges.transport });
    const writer = new DispatchWriter(notices, key, await found());

    const first = writer.change((dispatch) => [delivered('_all:n0')(dispatch), undefined]);
    // The first is on its way.
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const others = ids.slice(1, 4).map((id) => writer.changeSoon(delivered(id)));
    writer.flush();
    await Promise.all([first, ...others]);

    expect((await found()).version).toBe(3);
    expect(writer.found).toEqual(await found());
    // No race among its own: nothing was to be read again.
    expect(exchanges.requests.map((request) => request.slice(0, 4))).toEqual(['PUT ', 'PUT ']);
  });

  it('loses nothing of what several write at once, and tells each what became of its change', async () => {
    const all = await writers(5);

    const told = await Promise.all(
      all.flatMap((writer) =>
        ids.slice(0, 10).map((id) =>
          writer.change((dispatch) => {
            const first = dispatch.notices[id]?.state === 'pending';
            return [delivered(id)(dispatch), first] as const;
          }),
        ),
      ),
    );

    const { document, version } = await found();
    expect(Object.values(document.notices).filter(({ state }) => state === 'delivered')).toHaveLength(10);
    // Whoever changed it was told so, and nobody else.
    expect([told.filter(Boolean).length, version]).toEqual([10, 2]);
  });

  it('writes nothing when nothing changes', async () => {
    const [writer = fail()] = await writers(1);

    expect(await writer.change((dispatch) => [dispatch, 'seen'])).toBe('seen');

    expect((await found()).version).toBe(1);
  });

  it('does not bring back what was deleted, and says that nothing is there', async () => {
    const [writer = fail()] = await writers(1);
    await there.notices.deleteDispatch(key);

    const told = await writer.change((dispatch) => {
      const [notice] = Object.values(dispatch.notices);
      return [delivered('_all:n0')(dispatch), notice?.state] as const;
    });
    await writer.changeSoon(delivered('_all:n1'));

    expect(told).toBeUndefined();
    expect(await there.notices.dispatch(key)).toBeUndefined();
  });

  it('says when it cannot be written', async () => {
    const [writer = fail()] = await writers(1);
    await there.world.store.write(`dispatches/${key}`, { json: '{' }, 1);

    const soon = expect(writer.changeSoon(delivered('_all:n0'))).rejects.toMatchObject({
      code: 'notice_document_unreadable',
    });
    await expect(writer.change((dispatch) => [delivered('_all:n1')(dispatch), 0])).rejects.toMatchObject({
      code: 'notice_document_unreadable',
    });
    await soon;
  });
});

describe('results of a dispatch', () => {
  it('are written as soon as nobody is left to answer', async () => {
    await there.subscribe(status(204));
    await there.subscribe(status(204));
    // A write that is put off would never come.
    vi.useFakeTimers({ toFake: ['setTimeout'] });

    await send(there.worker(), event);

    const { notices } = (await found()).document;
    expect(Object.values(notices).map(({ state }) => state)).toEqual(['delivered', 'delivered']);
  });

  it('do not wait for those who are slow to answer', async () => {
    let answer = (): void => {};
    await there.subscribe((response) => {
      answer = () => void response.writeHead(204).end();
    });
    await there.subscribe(status(204), { id: '_all:quick' });

    const { delivered: ended } = await there.worker().recorder.record(event);
    await until(async () => (await found()).document.notices['_all:quick']?.state === 'delivered');

    answer();
    await ended;
    const { notices } = (await found()).document;
    expect(Object.values(notices).map(({ state }) => state)).toEqual(['delivered', 'delivered']);
  });

  it('of one that is deleted while it is sent are dropped', async () => {
    const received = await there.subscribe((response, count) => {
      void (count < 3 ? Promise.resolve() : there.notices.deleteDispatch(key)).then(() =>
        status(500)(response, count),
      );
    });
    await send(there.worker(), event);
    there.clock.now += 10 * MINUTE;

    await deliverDue(there.worker());

    expect(received).toHaveLength(3);
    expect(await there.notices.dispatch(key)).toBeUndefined();
    expect(there.errors).toEqual([]);
  });
});

function gone(): never {
  throw new Error('no dispatch');
}
function fail(): never {
  throw new Error('no writer');
}
