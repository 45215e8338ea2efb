import { describe, expect, it } from 'vitest';
import { tellStatus } from '../../lib/cli/status-command.ts';
import { receiveHttp } from '../notices/receiver.ts';

const NOW = Date.parse('2026-11-22T00:00:00Z');
const LATER = '2026-11-22T00:01:00.000Z';

const well = {
  name: 'app',
  kind: 'lease',
  phase: 'idle',
  generation: 1,
  retiring: [],
  due: LATER,
  failures: 0,
  paused: false,
  removed: false,
  drift: false,
};
const subscription = {
  id: '_all:one',
  url: 'https://hooks.example.com/',
  types: ['*'],
  names: ['*'],
  secrets: [{}],
};

interface Api {
  readonly managed?: readonly object[];
  readonly subscriptions?: readonly object[];
  /** Undefined: there is no such route, as on AWS. */
  readonly health?: { readonly status: number; readonly body: object };
}

async function statusOf({ managed = [], subscriptions = [], health }: Api, json = false) {
  const { port } = await receiveHttp((request, response) => {
    const path = request.url?.split('?')[0];
    if (path === '/healthz' && health !== undefined)
      response.writeHead(health.status).end(JSON.stringify(health.body));
    else if (path === '/v1/managed') response.end(JSON.stringify({ managed }));
    else if (path === '/v1/subscriptions') response.end(JSON.stringify({ subscriptions }));
    else response.writeHead(404).end('{"message":"Not Found"}');
  });
  const out: string[] = [];
  const environment = { LEASEKEEPER_URL: `http://127.0.0.1:${port}`, VAULT_TOKEN: 'x' };
  const io = { environment, out: (line: string) => out.push(line), error: (line: string) => out.push(line) };
  const code = await tellStatus(io, { json }, () => NOW);
  return { code, lines: out, url: environment.LEASEKEEPER_URL };
}

it('says that all is well, where it is, and what there is', async () => {
  const health = { status: 200, body: { status: 'ok', seconds_since_scan: 3 } };
  const managed = [
    well,
    { ...well, name: 'b', phase: 'test', paused: true },
    { ...well, name: 'c', due: null },
  ];
  const { code, lines, url } = await statusOf({ managed, subscriptions: [subscription], health });
  expect(code).toBe(0);
  expect(lines).toEqual([
    `at ${url}`,
    'scans: ok, the last one 3 s ago',
    'managed secrets: 2 idle, 1 test, 1 paused',
    'subscriptions: 1',
    'nothing fails',
  ]);
});

it('says nothing of scans where nobody tells of them', async () => {
  const { code, lines, url } = await statusOf({});
  expect([code, lines]).toEqual([
    0,
    [`at ${url}`, 'managed secrets: none', 'subscriptions: none', 'nothing fails'],
  ]);
});

describe('what fails ends it with 1', () => {
  it.each([
    ['a failure', { failures: 2, phase: 'test' }, `failed 2 times (test); tried again at ${LATER}`],
    ['drift', { drift: true }, 'drift: it was changed behind our back'],
    ['overdue', { due: '2026-11-21T23:54:59.000Z' }, 'overdue since 2026-11-21T23:54:59.000Z: see whether'],
  ])('%s', async (_what, more, fault) => {
    const { code, lines } = await statusOf({ managed: [well, { ...well, name: 'bad', ...more }] });
    expect(code).toBe(1);
    expect(lines.slice(3)).toEqual([
      'WHAT    NAME  FAULT',
      expect.stringContaining(`secret  bad   ${fault}`),
    ]);
  });

  it.each([
    ['due a while ago', { due: '2026-11-21T23:56:00.000Z' }],
    ['paused, however long it has been due', { due: '2026-01-01T00:00:00.000Z', paused: true }],
  ])('but not what is %s', async (_what, more) => {
    expect((await statusOf({ managed: [{ ...well, ...more }] })).code).toBe(0);
  });

  it('documents that cannot be read, and scans', async () => {
    const { code, lines } = await statusOf({
      managed: [{ name: 'spoilt', unreadable: true }],
      subscriptions: [{ id: '_all:spoilt', unreadable: true }],
      health: { status: 503, body: { status: 'failing', seconds_since_scan: 400 } },
    });
    expect(code).toBe(1);
    expect(lines.slice(1, 4)).toEqual([
      'scans: failing, the last one 400 s ago',
      'managed secrets: 1 unreadable',
      'subscriptions: 1',
    ]);
    expect(lines.slice(5).map((line) => line.split(/ {2,}/))).toEqual([
      ['scan', '-', expect.stringContaining('does not succeed')],
      ['secret', 'spoilt', 'its document cannot be read'],
      ['subscription', '_all:spoilt', 'its document cannot be read'],
    ]);
  });

  it('subscriptions, but not what somebody has disabled', async () => {
    const at = '2026-11-20T00:00:00.000Z';
    const { code, lines } = await statusOf(
      {
        subscriptions: [
          { ...subscription, failing_since: at },
          { ...subscription, id: '_all:two', disabled: { at, reason: 'gone' } },
          { ...subscription, id: '_all:three', disabled: { at, reason: 'by_hand' }, failing_since: at },
        ],
      },
      true,
    );
    expect(code).toBe(1);
    expect(JSON.parse(lines.join('\n'))).toMatchObject({
      subscriptions: 3,
      faults: [
        { of: 'subscription', name: '_all:one', fault: `failing since ${at}` },
        { of: 'subscription', name: '_all:two', fault: `disabled since ${at} (gone)` },
      ],
    });
  });
});
