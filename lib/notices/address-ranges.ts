import { BlockList, isIP } from 'node:net';

/** Why an address is not to be sent to. */
export type RangeName =
  | 'metadata'
  | 'unspecified'
  | 'loopback'
  | 'private'
  | 'link_local'
  | 'cgnat'
  | 'multicast'
  | 'documentation'
  | 'tunnel'
  | 'reserved';

/**
 * The IPv4 addresses that are not public, from IANA's special-purpose registry (RFC 6890), before them the addresses
 * at which clouds hand credentials to their machines. The first range that fits gives the reason. Beyond the registry,
 * what it counts as public is refused where the nearest node of a network answers, which may be one of our own: the
 * sinks of AS112 (RFC 7534, RFC 7535) and the relays of AMT (RFC 7450).
 */
const IPV4: ReadonlyArray<readonly [RangeName, string]> = [
  ['metadata', '169.254.169.0/24'], // .254: AWS, Azure, Google, Oracle, OpenStack and most others; .252: GKE; DNS, time
  ['metadata', '169.254.170.0/24'], // .2: ECS task credentials; .23: EKS pod identity
  ['metadata', '169.254.0.23/32'], // Tencent
  ['metadata', '169.254.42.42/32'], // Scaleway
  ['metadata', '100.100.100.200/32'], // Alibaba
  ['metadata', '100.96.0.96/32'], // Volcano Engine
  ['metadata', '192.0.0.192/32'], // Oracle, its older cloud
  ['metadata', '168.63.129.16/32'], // Azure's wire server, a public address
  ['unspecified', '0.0.0.0/8'],
  ['loopback', '127.0.0.0/8'],
  ['private', '10.0.0.0/8'],
  ['private', '172.16.0.0/12'],
  ['private', '192.168.0.0/16'],
  ['cgnat', '100.64.0.0/10'],
  ['link_local', '169.254.0.0/16'],
  ['documentation', '192.0.2.0/24'],
  ['documentation', '198.51.100.0/24'],
  ['documentation', '203.0.113.0/24'],
  ['tunnel', '192.88.99.0/24'], // 6to4 relays
  ['tunnel', '192.52.193.0/24'], // AMT relays
  ['reserved', '192.31.196.0/24'], // AS112
  ['reserved', '192.175.48.0/24'], // AS112
  ['reserved', '192.0.0.0/24'],
  ['reserved', '198.18.0.0/15'], // benchmarks
  ['multicast', '224.0.0.0/4'],
  ['reserved', '240.0.0.0/4'],
];

/** NAT64 (RFC 6052), a /96: an IPv4 address in other clothes, judged as that. BlockList does so for `::ffff:0:0/96` itself. */
const NAT64 = '64:ff9b::';

const IPV6: ReadonlyArray<readonly [RangeName, string]> = [
  ['metadata', 'fd00:ec2::/32'], // AWS: instance metadata, DNS, time, pod identity
  ['metadata', 'fd20:ce::254/128'], // Google
  ['metadata', 'fd00:c1::a9fe:a9fe/128'], // Oracle
  ['metadata', 'fe80::a9fe:a9fe/128'], // OpenStack, Akamai
  ['metadata', 'fd00:a9fe:a9fe::1/128'], // Akamai
  ['metadata', 'fd00:42::42/128'], // Scaleway
  ['metadata', 'fd00:100::100:200/128'], // Alibaba
  ['unspecified', '::/128'],
  ['loopback', '::1/128'],
  ['private', 'fc00::/7'],
  ['private', 'fec0::/10'], // site-local, given up but still routed in places
  ['link_local', 'fe80::/10'],
  ['multicast', 'ff00::/8'],
  ['documentation', '2001:db8::/32'],
  ['documentation', '3fff::/20'],
  ['tunnel', '2001::/32'], // Teredo
  ['tunnel', '2002::/16'], // 6to4: holds an IPv4 address of the sender's choice
  ['tunnel', '64:ff9b:1::/48'], // NAT64 with a local prefix, which leads wherever its operator likes
  ['reserved', '2001::/23'], // protocol assignments: benchmarks, ORCHID, drone ids, AMT, AS112
  ['reserved', '2620:4f:8000::/48'], // AS112
];

/**
 * Of IPv6 only this is global unicast; whatever lies outside and is named nowhere else is reserved: IPv4-compatible
 * (`::/96`) and IPv4-translated (`::ffff:0:0:0/96`) addresses, discard-only (`100::/64`), segment routing (`5f00::/16`).
 *
 * Within it nothing tells a translator's prefix of a network's own (RFC 6052) from any other: behind such a one a public
 * address may lead to a private one.
 */
const PUBLIC_IPV6 = ['2000::/3', '::ffff:0:0/96', '64:ff9b::/96'];

const refusals: ReadonlyArray<readonly [RangeName, BlockList]> = [
  ...IPV4.flatMap(([name, range]) => [
    [name, blockListOf([range])] as const,
    [name, behindNat64(range)] as const,
  ]),
  ...IPV6.map(([name, range]) => [name, blockListOf([range])] as const),
];
const publicIpv6 = blockListOf(PUBLIC_IPV6);

/** The range that keeps an address from being public; undefined when it is. The text must be an IP address. */
export function specialRangeOf(address: string): RangeName | undefined {
  const named = refusals.find(([, list]) => contains(list, address));
  if (named !== undefined) return named[0];
  if (isIsatap(address)) return 'tunnel';
  return isIP(address) === 4 || contains(publicIpv6, address) ? undefined : 'reserved';
}

/** Whether one of the ranges holds the address. A zone (`fe80::1%eth0`) does not count. */
export function contains(list: BlockList, address: string): boolean {
  return list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
}

/** A list of ranges in CIDR notation, or single addresses. Throws a TypeError or RangeError for anything else. */
export function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const { address, prefix, family } = parseRange(range);
    list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}

/** ISATAP (RFC 5214): under any prefix, the identifier `0:5efe` or `200:5efe` and the IPv4 address that the tunnel ends at. */
function isIsatap(address: string): boolean {
  if (isIP(address) !== 6) return false;
  const [, , , , fifth, sixth] = groupsOf(address);
  return sixth === '5efe' && (fifth === '0' || fifth === '200');
}

/** The eight groups of an IPv6 address in lower-case hexadecimal, without leading zeros. */
function groupsOf(address: string): string[] {
  const withoutZone = address.replace(/%.*$/, '');
  // URL writes every notation in one way.
  const [head = '', tail] = new URL(`http://[${withoutZone}]`).hostname.slice(1, -1).split('::');
  const [left, right] = [head, tail ?? ''].map((part) => (part === '' ? [] : part.split(':')));
  const known = [...(left ?? []), ...(right ?? [])].length;
  return [...(left ?? []), ...Array<string>(8 - known).fill('0'), ...(right ?? [])];
}

/** The same IPv4 range as it is reached through NAT64. */
function behindNat64(range: string): BlockList {
  const { address, prefix } = parseRange(range);
  return blockListOf([`${NAT64}${address}/${96 + prefix}`]);
}

function parseRange(range: string): { address: string; prefix: number; family: number } {
  const [address = '', prefix, ...rest] = range.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) {
    throw new TypeError('not an address or a range of addresses');
  }
  return { address, prefix: Number(prefix ?? (family === 4 ? 32 : 128)), family };
}
