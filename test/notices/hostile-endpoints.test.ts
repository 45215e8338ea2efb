import { isIP, Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createAddressGuard } from '../../lib/notices/address-guard.ts';
import { type HostileEndpoint, hostileEndpoints } from './hostile-endpoints.ts';
import { receiveHttps, receiveTcp } from './receiver.ts';
import { loopback, notice, refusal, resolver, sender } from './sending.ts';

/** What an operator may have opened without a thought of any of these. */
const UNRELATED = [
  '10.200.0.0/16',
  'fd99::/16',
  '192.168.200.7',
  'hooks.svc.local',
  'http://plain.svc.local',
];
const allowLists: ReadonlyArray<readonly [string, readonly string[]]> = [
  ['nothing is allowed', []],
  ['something unrelated is allowed', UNRELATED],
];

const titled = (entries: readonly HostileEndpoint[]) =>
  entries.map((entry): [string, HostileEndpoint] => [titleOf(entry), entry]);
const asUrls = titled(hostileEndpoints.filter(({ resolvesTo }) => resolvesTo === undefined));
const resolved = hostileEndpoints.filter(({ resolvesTo }) => resolvesTo !== undefined);
const atOnce = titled(resolved.filter(({ before }) => before === undefined));
const moved = titled(resolved.filter(({ before }) => before !== undefined));

function titleOf({ endpoint, before, resolvesTo, reason }: HostileEndpoint): string {
  const answers = [before, resolvesTo].filter((answer) => answer !== undefined);
  return [endpoint, ...answers, reason].map((part) => JSON.stringify(part)).join(' ');
}

const answerOf = (addresses: readonly string[] = []) =>
  addresses.map((address) => ({ address, family: isIP(address) || 4 }));

/** The endpoint at a port where somebody counts. */
function at(endpoint: string, port: number): string {
  return Object.assign(new URL(endpoint), { port: String(port) }).href;
}

/** Addresses that sockets of this process try to connect to from now on, whether anybody is there or not. */
function watchSockets(): readonly string[] {
  const tried: string[] = [];
  const { connect } = Socket.prototype;
  vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...options: unknown[]) {
    this.on('connectionAttempt', (address: string) => tried.push(address));
    return Reflect.apply(connect, this, options);
  });
  return tried;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the table of hostile endpoints', () => {
  it('is long, and has nothing twice', () => {
    expect(hostileEndpoints.length).toBeGreaterThanOrEqual(80);
    const known = hostileEndpoints.map(({ endpoint, before, resolvesTo }) =>
      JSON.stringify([endpoint, before, resolvesTo]),
    );
    expect(known.filter((one, index) => known.indexOf(one) !== index)).toEqual([]);
    for (const some of [asUrls, atOnce, moved]) expect(some.length).toBeGreaterThan(3);
  });

  it('has every reason there is', () => {
    // Asked of the type: one that is missing or misspelt does not compile.
    const reasons: Readonly<Record<HostileEndpoint['reason'], true>> = {
      not_a_url: true,
      scheme: true,
      credentials: true,
      fragment: true,
      plain_http: true,
      not_an_address: true,
      metadata: true,
      unspecified: true,
      loopback: true,
      private: true,
      link_local: true,
      cgnat: true,
      multicast: true,
      documentation: true,
      tunnel: true,
      reserved: true,
    };
    const found = new Set(hostileEndpoints.map(({ reason }) => reason));
    expect([...found].toSorted()).toEqual(Object.keys(reasons).toSorted());
  });
});

describe.each(allowLists)('where %s', (_, allow) => {
  it.each(asUrls)('the URL itself is refused: %s', async (_title, { endpoint, reason }) => {
    expect(() => createAddressGuard(allow).checkUrl(endpoint)).toThrow(
      expect.objectContaining({ code: 'endpoint_refused', reason }),
    );

    const tried = watchSockets();
    const resolve = vi.fn(resolver([loopback]));
    await expect(sender({ allow, resolve }).send(notice(endpoint))).rejects.toEqual(refusal(reason));
    expect(resolve).not.toHaveBeenCalled();
    expect(tried).toEqual([]);
  });

  it.each(atOnce)('no socket is opened: %s', async (_title, { endpoint, resolvesTo, reason }) => {
    const receiver = await receiveTcp(() => {});
    const tried = watchSockets();
    const resolve = vi.fn(resolver(answerOf(resolvesTo)));
    const url = at(endpoint, receiver.port);

    expect(createAddressGuard(allow).checkUrl(url)).toBeInstanceOf(URL);
    await expect(sender({ allow, resolve }).send(notice(url))).rejects.toEqual(refusal(reason));
    expect(resolve).toHaveBeenCalledOnce();
    expect(tried).toEqual([]);
    expect(receiver.connections()).toBe(0);
  });

  it.each(moved)('a name that moves is caught: %s', async (_title, { endpoint, resolvesTo, reason }) => {
    const receiver = await receiveHttps((_request, response) =>
      response.writeHead(200, { connection: 'close' }).end(),
    );
    const tried = watchSockets();
    // Nothing is sent to a stranger from here: one address of this machine, opened, stands for the public one.
    const one = sender({
      allow: [...allow, loopback.address],
      resolve: resolver([loopback], answerOf(resolvesTo)),
      ca: receiver.ca,
    });
    const url = at(endpoint, receiver.port);

    expect(await one.send(notice(url))).toMatchObject({ status: 200 });
    await expect(one.send(notice(url))).rejects.toEqual(refusal(reason));
    expect(tried).toEqual([loopback.address]);
    expect(receiver.connections()).toBe(1);
  });
});

describe('metadata services', () => {
  const known = hostileEndpoints
    .filter(({ reason }) => reason === 'metadata')
    .map(({ endpoint, resolvesTo }) => {
      const hostname = new URL(endpoint).hostname.replace(/^\[|\]$/g, '');
      // Where there are several, it is the last one.
      return { hostname, address: resolvesTo?.at(-1) ?? hostname };
    });

  it.each(known)('$address is opened by no range and no name: $hostname', ({ hostname, address }) => {
    const names = isIP(hostname) === 0 ? [hostname] : [];
    const guard = createAddressGuard(['0.0.0.0/0', '::/0', ...names]);
    expect(() => guard.checkAddress({ protocol: 'https:', hostname, address })).toThrow(
      expect.objectContaining({ reason: 'metadata' }),
    );
  });
});
