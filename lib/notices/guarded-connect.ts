import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { createSecureContext } from 'node:tls';
import { buildConnector } from 'undici';
import { type AddressGuard, EndpointRefused } from './address-guard.ts';
import { trustedRoots } from './trusted-roots.ts';

/** All addresses of a host; it throws as `dns.lookup` does. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface GuardedConnectOptions {
  readonly guard: AddressGuard;
  /** For TCP and TLS together, in milliseconds. */
  readonly timeoutMs: number;
  /** Certificate authorities in PEM that are trusted besides Node's own. */
  readonly ca?: string | readonly string[];
  /** Default: the system's resolver. */
  readonly resolve?: Resolve;
}

/**
 * What undici opens sockets with. The addresses the guard has seen are the ones the socket connects to: nothing is
 * resolved again in between, so a name that changes its address (DNS rebinding) gains nothing. One forbidden address
 * refuses the host, whatever others it has.
 *
 * Hosts that are addresses already never come by here: {@link AddressGuard.checkUrl} judges those.
 */
export function createGuardedConnect(options: GuardedConnectOptions): buildConnector.connector {
  const resolve = options.resolve ?? ((hostname) => lookup(hostname, { all: true }));
  // Made once: reading all roots takes longer than a handshake.
  const secureContext =
    options.ca === undefined ? undefined : createSecureContext({ ca: [...trustedRoots(options.ca)] });
  const connectorFor = (protocol: string): buildConnector.connector =>
    buildConnector({
      timeout: options.timeoutMs,
      allowH2: false,
      // Has the lookup asked for all addresses, always.
      autoSelectFamily: true,
      lookup: guardedLookup(protocol, options.guard, resolve),
      // Whatever NODE_TLS_REJECT_UNAUTHORIZED says.
      rejectUnauthorized: true,
      ...(secureContext !== undefined && { secureContext }),
    });
  const https = connectorFor('https:');
  const http = connectorFor('http:');
  return (target, callback) => (target.protocol === 'https:' ? https : http)(target, callback);
}

function guardedLookup(protocol: string, guard: AddressGuard, resolve: Resolve): LookupFunction {
  const permitted = async (hostname: string): Promise<LookupAddress[]> => {
    const addresses = await resolve(hostname);
    if (addresses.length === 0) throw new EndpointRefused('not_an_address');
    for (const { address } of addresses) guard.checkAddress({ protocol, hostname, address });
    return [...addresses];
  };
  return (hostname, _options, callback) => {
    permitted(hostname).then(
      (addresses) => callback(null, addresses),
      (error: unknown) => callback(error instanceof Error ? error : new Error('lookup failed'), []),
    );
  };
}
