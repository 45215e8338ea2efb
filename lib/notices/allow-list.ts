import { isIP } from 'node:net';
import { LeasekeeperError } from '../errors.ts';
import { blockListOf, contains } from './address-ranges.ts';

/** What the operator opened. Hosts are in lower case, without brackets and without a dot at the end. */
export interface AllowList {
  coversHost(host: string): boolean;
  coversAddress(address: string): boolean;
  /** Whether the address itself is an entry, and not only within a range. */
  namesAddress(address: string): boolean;
  /** Whether plain http may be spoken with that host at that address. */
  permitsHttp(host: string, address: string): boolean;
  /** Whether plain http could be permitted once the host is resolved. */
  mayPermitHttp(host: string): boolean;
}

const HTTP = 'http://';
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*$/;

/** A name that ends in a number is a mistyped address to a URL parser, and would never match. */
const NUMERIC_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/**
 * Reads an allow list. An entry is an address (`10.0.0.7`, `fd00::7`), a range (`10.0.0.0/8`) or a host name
 * (`hooks.svc.local`); with `http://` before it, plain http is permitted there as well. A range covers what a host
 * resolves to; a host name covers every address it resolves to. Neither covers a cloud's metadata service: that takes
 * its very address.
 * Throws `allow_list_invalid`.
 */
export function parseAllowList(entries: readonly string[]): AllowList {
  const targets = entries.map((entry) => entry.trim().toLowerCase());
  const all = partition(
    targets.map((target) => (target.startsWith(HTTP) ? target.slice(HTTP.length) : target)),
  );
  const http = partition(
    targets.flatMap((target) => (target.startsWith(HTTP) ? [target.slice(HTTP.length)] : [])),
  );

  return {
    coversHost: (host) => all.hosts.has(host),
    coversAddress: (address) => contains(all.ranges, address),
    namesAddress: (address) => contains(all.single, address),
    permitsHttp: (host, address) => http.hosts.has(host) || contains(http.ranges, address),
    mayPermitHttp: (host) => http.hosts.has(host) || http.ranges.rules.length > 0,
  };
}

function partition(targets: readonly string[]) {
  const hosts = targets.filter((target) => !looksLikeRange(target));
  const wrong = hosts.find((host) => !HOST_NAME.test(host) || NUMERIC_END.test(host));
  if (wrong !== undefined) throw invalidEntry(wrong);
  return {
    hosts: new Set(hosts),
    ranges: rangesOf(targets.filter(looksLikeRange)),
    single: rangesOf(targets.filter((target) => isIP(target) !== 0)),
  };
}

function looksLikeRange(target: string): boolean {
  return target.includes('/') || isIP(target) !== 0;
}

function rangesOf(targets: readonly string[]) {
  for (const target of targets) {
    try {
      blockListOf([target]);
    } catch {
      throw invalidEntry(target);
    }
  }
  return blockListOf(targets);
}

function invalidEntry(entry: string): LeasekeeperError {
  return new LeasekeeperError(
    'allow_list_invalid',
    `Not an address, a range or a host name: ${JSON.stringify(entry)}`,
    {
      hint: 'Entries look like 10.0.0.0/8, fd00::/8, 192.0.2.7 or hooks.example.com, with http:// before it to permit http.',
    },
  );
}
