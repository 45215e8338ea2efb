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

  it.each([
    ['', 'not_a_url'],
    ['hooks.example.com', 'not_a_url'],
    ['/hooks', 'not_a_url'],
    ['https://', 'not_a_url'],
    ['https://999.1.1.1/', 'not_a_url'],
    ['ftp://hooks.example.com/', 'scheme'],
    ['file:///etc/passwd', 'scheme'],
    ['javascript:alert(1)', 'scheme'],
    ['https+unix://x/', 'scheme'],
    ['https://user@hooks.example.com/', 'credentials'],
    ['https://user:pass@hooks.example.com/', 'credentials'],
    ['https://:pass@hooks.example.com/', 'credentials'],
    ['https://hooks.example.com@127.0.0.1/', 'credentials'],
    ['https://hooks.example.com/#here', 'fragment'],
    ['https://hooks.example.com/#', 'fragment'],
    ['http://hooks.example.com/', 'plain_http'],
    ['http://93.184.216.34/', 'plain_http'],
    ['http://127.0.0.1/', 'plain_http'],
  ])('refuses %s: %s', (url, reason) => {
    expect(verdict(url)).toBe(reason);
  });

  it.each([
    ['https://127.0.0.1/', 'loopback'],
    ['https://127.1/', 'loopback'],
    ['https://2130706433/', 'loopback'],
    ['https://0x7f000001/', 'loopback'],
    ['https://0x7f.1/', 'loopback'],
    ['https://0177.0.0.1/', 'loopback'],
    ['https://017700000001/', 'loopback'],
    ['https://127.0.0.1./', 'loopback'],
    ['https://①②⑦.⓪.⓪.①/', 'loopback'],
    ['https://%31%32%37.0.0.1/', 'loopback'],
    ['https://[::1]/', 'loopback'],
    ['https://[0:0:0:0:0:0:0:1]/', 'loopback'],
    ['https://[::ffff:127.0.0.1]/', 'loopback'],
    ['https://[::ffff:7f00:1]/', 'loopback'],
    ['https://[64:ff9b::127.0.0.1]/', 'loopback'],
    ['https://0/', 'unspecified'],
    ['https://0.0.0.0/', 'unspecified'],
    ['https://[::]/', 'unspecified'],
    ['https://167772161/', 'private'],
    ['https://0xa9fea9fe/', 'metadata'],
    ['https://[::ffff:a9fe:a9fe]/', 'metadata'],
    ['https://[::127.0.0.1]/', 'reserved'],
    ['https://[2002:7f00:1::]/', 'tunnel'],
  ])('sees through the notation of %s: %s', (url, reason) => {
    expect(verdict(url)).toBe(reason);
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
  ['loopback', ['127.0.0.0', '127.255.255.255'], ['126.255.255.255', '128.0.0.0']],
  ['link_local', ['169.254.0.0', '169.254.255.255'], ['169.253.255.255', '169.255.0.0']],
  ['private', ['172.16.0.0', '172.31.255.255'], ['172.15.255.255', '172.32.0.0']],
  ['reserved', ['192.0.0.0', '192.0.0.255'], ['191.255.255.255', '192.0.1.0']],
  ['documentation', ['192.0.2.0', '192.0.2.255'], ['192.0.3.0']],
  ['tunnel', ['192.88.99.0', '192.88.99.255'], ['192.88.98.255', '192.88.100.0']],
  ['private', ['192.168.0.0', '192.168.255.255'], ['192.167.255.255', '192.169.0.0']],
  ['reserved', ['198.18.0.0', '198.19.255.255'], ['198.17.255.255', '198.20.0.0']],
  ['documentation', ['198.51.100.0', '198.51.100.255'], ['198.51.99.255', '198.51.101.0']],
  ['documentation', ['203.0.113.0', '203.0.113.255'], ['203.0.112.255', '203.0.114.0']],
  ['multicast', ['224.0.0.0', '239.255.255.255'], ['223.255.255.255']],
  ['reserved', ['240.0.0.0', '255.255.255.255'], []],
];

const metadata = [
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
];

const ipv6: Array<[reason: string, addresses: string[]]> = [
  ['unspecified', ['::']],
  ['loopback', ['::1']],
  ['private', ['fc00::', 'fdff:ffff::1', 'fec0::1']],
  ['link_local', ['fe80::1', 'febf::1', 'fe80::1%eth0', 'fe80::1%1']],
  ['multicast', ['ff00::', 'ff02::1', 'ffff::']],
  ['documentation', ['2001:db8::1', '3fff::1', '3fff:fff::1']],
  ['tunnel', ['2001::1', '2001:0:ffff::', '2002::1', '2002:808:808::1', '64:ff9b:1::8.8.8.8']],
  [
    'reserved',
    [
      '::2',
      '::8.8.8.8',
      '::ffff:0:8.8.8.8',
      '100::1',
      '1fff::1',
      '4000::1',
      '5f00::1',
      '2001:2::1',
      '64:ff9c::1',
    ],
  ],
  [
    'open',
    ['2000::1', '2001:200::1', '2606:4700::1111', '3ffe:ffff::1', '::ffff:8.8.8.8', '64:ff9b::8.8.8.8'],
  ],
];

describe('checkAddress', () => {
  it.each(ranges)('%s: refuses %j and lets %j through', (reason, inside, neighbours) => {
    for (const prefix of ['', '::ffff:', '64:ff9b::']) {
      for (const address of inside) expect(resolved(prefix + address), prefix + address).toBe(reason);
      for (const address of neighbours) expect(resolved(prefix + address), prefix + address).toBe('open');
    }
  });

  it.each(metadata)('knows the metadata service at %s', (address) => {
    expect(resolved(address)).toBe('metadata');
  });

  it.each(ipv6)('%s: %j', (reason, addresses) => {
    for (const address of addresses) expect(resolved(address), address).toBe(reason);
  });

  it.each(['', 'localhost', '1.2.3', '0x7f.1', '127.0.0.1:80'])('takes %j for no address', (address) => {
    expect(resolved(address)).toBe('not_an_address');
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

  it('opens the metadata service only by its range', () => {
    expect(resolved('169.254.169.254', ['169.254.169.254'])).toBe('open');
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
