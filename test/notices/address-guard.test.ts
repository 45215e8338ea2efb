import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAddressGuard, EndpointRefused } from '../../lib/notices/address-guard.ts';

/** Why a URL is refused, or `open`. */
function verdict(url: string, allow: string[] = []): string {
  try {
    createAddressGuard(allow).checkUrl(url);
    return 'open';
  } catch (error) {
    if (error instanceof EndpointRefused) return error.reason;
    throw error;
  }
}

/** The same for a host that resolved to an address. */
function resolved(
  address: string,
  allow: string[] = [],
  hostname = 'hooks.example.com',
  protocol = 'https:',
): string {
  try {
    createAddressGuard(allow).checkAddress({ protocol, hostname, address });
    return 'open';
  } catch (error) {
    if (error instanceof EndpointRefused) return error.reason;
    throw error;
  }
}

// What is refused, and why: hostile-endpoints.ts. Here are the borders, what is let through, and the allow list.

describe('checkUrl', () => {
  it.each([
    'https://hooks.example.com/x?y=z',
    'https://hooks.example.com:8443',
    'HTTPS://HOOKS.EXAMPLE.COM.',
    'https://93.184.216.34/',
    'https://[2606:2800:220:1:248:1893:25c8:1946]/',
  ])('lets %s through', (url) => {
    expect(createAddressGuard().checkUrl(url).href).toBe(new URL(url).href);
  });

  it('refuses with a code, a reason and a hint, and does not repeat the URL', () => {
    const url = 'https://10.1.2.3/hook?key=canary';
    const attempt = () => createAddressGuard().checkUrl(url);

    expect(attempt).toThrow(
      expect.objectContaining({
        code: 'endpoint_refused',
        reason: 'private',
        hint: expect.stringContaining('allow list'),
      }),
    );
    expect(attempt).not.toThrow(/10\.1\.2\.3|canary/);
  });
});

/** First and last address of each range, and where it has neighbours that are public, those. */
const ranges: Array<[reason: string, inside: string[], neighbours: string[]]> = [
  ['unspecified', ['0.0.0.0', '0.255.255.255'], ['1.0.0.0']],
  ['private', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0']],
  ['cgnat', ['100.64.0.0', '100.127.255.255'], ['100.63.255.255', '100.128.0.0']],
  ['metadata', ['169.254.169.0', '169.254.170.255'], []],
  ['loopback', ['127.0.0.0', '127.255.255.255'], ['126.255.255.255', '128.0.0.0']],
  ['link_local', ['169.254.0.0', '169.254.255.255'], ['169.253.255.255', '169.255.0.0']],
  ['link_local', ['169.254.168.255', '169.254.171.0'], []],
  ['private', ['172.16.0.0', '172.31.255.255'], ['172.15.255.255', '172.32.0.0']],
  ['reserved', ['192.0.0.0', '192.0.0.255'], ['191.255.255.255', '192.0.1.0']],
  ['documentation', ['192.0.2.0', '192.0.2.255'], ['192.0.3.0']],
  ['reserved', ['192.31.196.0', '192.31.196.255'], ['192.31.195.255', '192.31.197.0']],
  ['tunnel', ['192.52.193.0', '192.52.193.255'], ['192.52.192.255', '192.52.194.0']],
  ['tunnel', ['192.88.99.0', '192.88.99.255'], ['192.88.98.255', '192.88.100.0']],
  ['reserved', ['192.175.48.0', '192.175.48.255'], ['192.175.47.255', '192.175.49.0']],
  ['private', ['192.168.0.0', '192.168.255.255'], ['192.167.255.255', '192.169.0.0']],
  ['reserved', ['198.18.0.0', '198.19.255.255'], ['198.17.255.255', '198.20.0.0']],
  ['documentation', ['198.51.100.0', '198.51.100.255'], ['198.51.99.255', '198.51.101.0']],
  ['documentation', ['203.0.113.0', '203.0.113.255'], ['203.0.112.255', '203.0.114.0']],
  ['multicast', ['224.0.0.0', '239.255.255.255'], ['223.255.255.255']],
  ['reserved', ['240.0.0.0', '255.255.255.255'], []],
];

const ipv6: Array<[reason: string, addresses: string[]]> = [
  ['private', ['fc00::', 'fdff:ffff::1', 'feff::1']],
  ['link_local', ['febf::1', 'fe80::1%1']],
  ['multicast', ['ff00::', 'ffff::']],
  ['documentation', ['2001:db8:ffff::1', '3fff:fff::1']],
  ['metadata', ['fd00:ec2::', 'fd00:ec2:ffff::1']],
  ['tunnel', ['2001::1', '2001:0:ffff::', '2002::1', '2002:808:808::1']],
  ['tunnel', ['64:ff9b:1::8.8.8.8', '64:ff9b:1:ffff::1', '2606:4700::5efe:8.8.8.8', '2a00::200:5efe:0:0%1']],
  ['reserved', ['::2', '::8.8.8.8', '::ffff:0:8.8.8.8', '1fff::1', '64:ff9c::1', '2001:1ff::1']],
  ['reserved', ['2620:4f:8000::', '2620:4f:8000:ffff::1']],
  [
    'open',
    ['2000::1', '2001:200::1', '2606:4700::1111', '3ffe:ffff::1', '2620:4f:7fff::1', '2620:4f:8001::1'],
  ],
  ['open', ['::ffff:8.8.8.8', '64:ff9b::8.8.8.8']],
  // The groups of ISATAP's identifier, at other places or other by one.
  ['open', ['2606:4700::5efe:1', '2606:4700::5efe:0:0:1', '2a00::1:5efe:a00:1', '2a00::5eff:a00:1']],
];

describe('checkAddress', () => {
  it.each(ranges)('%s: refuses %j and lets %j through', (reason, inside, neighbours) => {
    for (const prefix of ['', '::ffff:', '64:ff9b::']) {
      for (const address of inside) expect(resolved(prefix + address), prefix + address).toBe(reason);
      for (const address of neighbours) expect(resolved(prefix + address), prefix + address).toBe('open');
    }
  });

  it.each(ipv6)('%s: %j', (reason, addresses) => {
    for (const address of addresses) expect(resolved(address), address).toBe(reason);
  });

  it('has a verdict on every IPv6 address, and takes no ISATAP address for a public one', () => {
    const group = fc.nat(0xffff).map((value) => value.toString(16));
    fc.assert(
      fc.property(
        fc.ipV6(),
        fc.array(group, { minLength: 6, maxLength: 6 }),
        (any, [a, b, c, d, ...ipv4]) => {
          expect(resolved(any)).toMatch(/^[a-z_]+$/);
          const prefix = [a, b, c, d].join(':');
          for (const flags of ['0', '200'])
            expect(resolved([prefix, flags, '5efe', ...ipv4].join(':'))).not.toBe('open');
        },
      ),
    );
  });

  it('gives the same verdict on an IPv4 address in each of its notations', () => {
    const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
    fc.assert(
      fc.property(octets, ([a, b, c, d]) => {
        const plain = `${a}.${b}.${c}.${d}`;
        const number = ((a * 256 + b) * 256 + c) * 256 + d;
        const hex = number.toString(16).padStart(8, '0');
        const expected = resolved(plain);
        const notations = [
          plain,
          `${number}`,
          `0x${hex}`,
          `0${number.toString(8)}`,
          `${a}.${(b * 256 + c) * 256 + d}`,
        ];
        for (const host of notations) expect(verdict(`https://${host}/`), host).toBe(expected);
        const embedded = `${hex.slice(0, 4)}:${hex.slice(4)}`;
        for (const prefix of ['::ffff:', '64:ff9b::']) {
          expect(verdict(`https://[${prefix}${embedded}]/`), prefix).toBe(expected);
        }
      }),
      { examples: [[[127, 0, 0, 1]], [[169, 254, 169, 254]], [[10, 0, 0, 1]], [[8, 8, 8, 8]]] },
    );
  });
});

describe('the allow list', () => {
  it('opens a range, however the address is written or found, and no more', () => {
    const allow = ['10.1.0.0/16'];

    expect(verdict('https://10.1.2.3/', allow)).toBe('open');
    expect(verdict('https://[::ffff:10.1.2.3]/', allow)).toBe('open');
    expect(resolved('10.1.2.3', allow)).toBe('open');
    expect(resolved('10.2.0.1', allow)).toBe('private');
    expect(verdict('http://10.1.2.3/', allow)).toBe('plain_http');
  });

  it('opens single addresses and IPv6 ranges', () => {
    const allow = ['192.168.7.7', 'fd12::/16', '::1'];

    expect(resolved('192.168.7.7', allow)).toBe('open');
    expect(resolved('192.168.7.8', allow)).toBe('private');
    expect(resolved('fd12::9', allow)).toBe('open');
    expect(verdict('https://[::1]/', allow)).toBe('open');
    expect(resolved('fd13::9', allow)).toBe('private');
  });

  it('opens a host at whatever address it has, but not the metadata service', () => {
    const allow = ['Hooks.SVC.local'];

    expect(resolved('10.1.2.3', allow, 'hooks.svc.local')).toBe('open');
    expect(resolved('10.1.2.3', allow, 'HOOKS.svc.local.')).toBe('open');
    expect(resolved('127.0.0.1', allow, 'hooks.svc.local')).toBe('open');
    expect(resolved('169.254.169.254', allow, 'hooks.svc.local')).toBe('metadata');
    expect(resolved('10.1.2.3', allow, 'other.svc.local')).toBe('private');
    expect(resolved('10.1.2.3', allow, 'x.hooks.svc.local')).toBe('private');
    expect(verdict('http://hooks.svc.local/', allow)).toBe('plain_http');
  });

  it('opens a metadata service only by its own address', () => {
    const own = ['169.254.169.254', 'fd00:ec2::254'];
    for (const address of own) {
      expect(resolved(address, own)).toBe('open');
      expect(resolved(address, ['169.254.0.0/16', 'fd00::/8'])).toBe('metadata');
    }
    expect(resolved('::ffff:169.254.169.254', own)).toBe('open');
    expect(resolved('169.254.169.253', own)).toBe('metadata');
  });

  it('permits plain http where it says so', () => {
    const host = ['http://hooks.svc.local'];
    expect(verdict('http://hooks.svc.local/', host)).toBe('open');
    expect(verdict('http://other.svc.local/', host)).toBe('plain_http');
    expect(resolved('10.1.2.3', host, 'hooks.svc.local', 'http:')).toBe('open');
    expect(resolved('8.8.8.8', host, 'other.svc.local', 'http:')).toBe('plain_http');

    const range = ['http://10.0.0.0/8'];
    expect(verdict('http://10.1.2.3/', range)).toBe('open');
    expect(verdict('https://10.1.2.3/', range)).toBe('open');
    expect(verdict('http://11.1.2.3/', range)).toBe('plain_http');
    // It may resolve into the range; the socket will tell.
    expect(verdict('http://any.example.com/', range)).toBe('open');
    expect(resolved('10.1.2.3', range, 'any.example.com', 'http:')).toBe('open');
    expect(resolved('11.1.2.3', range, 'any.example.com', 'http:')).toBe('plain_http');
  });

  it.each([
    '10.0.0.0/33',
    '10.0.0.0/x',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fd00::/129',
    '10.0.0',
    '10.0.0.256',
    '0x7f.1',
    '*',
    '*.example.com',
    'https://hooks.example.com',
    'http://hooks.example.com/path',
    'http://http://x',
    'hooks.example.com:8080',
    'exa mple.com',
    '',
  ])('refuses the entry %j', (entry) => {
    expect(() => createAddressGuard(['10.0.0.0/8', entry])).toThrow(
      expect.objectContaining({ code: 'allow_list_invalid' }),
    );
  });
});
