import { isIP } from 'node:net';
import { LeasekeeperError } from '../errors.ts';
import { type RangeName, specialRangeOf } from './address-ranges.ts';
import { parseAllowList } from './allow-list.ts';

/** Why an endpoint is refused. */
export type RefusalReason =
  | RangeName
  | 'not_a_url'
  | 'scheme'
  | 'credentials'
  | 'fragment'
  | 'plain_http'
  | 'not_an_address';

const EXPLANATIONS: Readonly<Record<RefusalReason, string>> = {
  not_a_url: 'it is no absolute URL',
  scheme: 'its scheme is neither https nor http',
  credentials: 'it contains a user name or password',
  fragment: 'it has a fragment',
  plain_http: 'it is not https',
  not_an_address: 'its host did not resolve to an IP address',
  metadata: 'its address is that of a cloud metadata service',
  unspecified: 'its address is unspecified',
  loopback: 'its address is a loopback address',
  private: 'its address is private',
  link_local: 'its address is link-local',
  cgnat: 'its address is shared address space',
  multicast: 'its address is a multicast address',
  documentation: 'its address is reserved for documentation',
  tunnel: 'its address belongs to a tunnel',
  reserved: 'its address is reserved',
};

/** An endpoint that nothing is sent to. Code `endpoint_refused`; the message holds neither URL nor address. */
export class EndpointRefused extends LeasekeeperError {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason) {
    super('endpoint_refused', `Nothing is sent to this endpoint: ${EXPLANATIONS[reason]}.`, {
      hint: 'Use an https URL with a public address, or have the operator add the host or its range to the allow list.',
    });
    this.reason = reason;
  }
}

/** One address that a connection is about to be made to, or was made to. */
export interface Target {
  /** `https:` or `http:`, as in a URL. */
  readonly protocol: string;
  /** As in the URL; an IPv6 address may have its brackets or not. */
  readonly hostname: string;
  /** What the host resolved to. */
  readonly address: string;
}

/** Decides where notices may be sent. */
export interface AddressGuard {
  /**
   * The endpoint of a subscription as a URL. Throws {@link EndpointRefused} for everything that can be refused
   * without resolving its host.
   */
  checkUrl(endpoint: string): URL;
  /** Throws {@link EndpointRefused} unless that address may be connected to. To be asked at the socket, each time. */
  checkAddress(target: Target): void;
}

/**
 * A guard that lets through https to public addresses, and besides it what is on the allow list: see allow-list.ts for
 * its notation. Throws `allow_list_invalid`.
 */
export function createAddressGuard(allow: readonly string[] = []): AddressGuard {
  const allowed = parseAllowList(allow);

  const checkAddress = ({ protocol, hostname, address }: Target): void => {
    const host = plainHost(hostname);
    if (isIP(address) === 0) throw new EndpointRefused('not_an_address');
    if (protocol !== 'https:' && !allowed.permitsHttp(host, address)) throw new EndpointRefused('plain_http');
    const range = specialRangeOf(address);
    if (range === undefined || mayReach(range, host, address)) return;
    throw new EndpointRefused(range);
  };

  // Who runs a host's DNS must not be able to point it at the credentials of this machine, and fd00::/8, opened for
  // a private network, holds the metadata services of six clouds: they are opened by their very address.
  const mayReach = (range: RangeName, host: string, address: string): boolean => {
    if (range === 'metadata') return allowed.namesAddress(address);
    return allowed.coversAddress(address) || allowed.coversHost(host);
  };

  const checkUrl = (endpoint: string): URL => {
    const url = URL.parse(endpoint);
    if (url === null) throw new EndpointRefused('not_a_url');
    const { protocol, hostname, username, password } = url;
    if (protocol !== 'https:' && protocol !== 'http:') throw new EndpointRefused('scheme');
    if (username !== '' || password !== '') throw new EndpointRefused('credentials');
    // url.hash is empty for a lone #, which is a fragment too.
    if (url.href.includes('#')) throw new EndpointRefused('fragment');
    const host = plainHost(hostname);
    if (isIP(host) !== 0) checkAddress({ protocol, hostname, address: host });
    else if (protocol === 'http:' && !allowed.mayPermitHttp(host)) throw new EndpointRefused('plain_http');
    return url;
  };

  return { checkUrl, checkAddress };
}

/** A host as the allow list has it: no brackets around IPv6, no dot at the end, lower case. */
function plainHost(hostname: string): string {
  return hostname
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
}
