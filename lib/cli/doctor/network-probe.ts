import { lookup } from 'node:dns/promises';
import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls, type PeerCertificate } from 'node:tls';
import { codeOf } from '../../errors.ts';
import type { Target } from './address.ts';

/** Where, and how long to wait for each step, in milliseconds. */
export interface ProbeTarget extends Pick<Target, 'hostname' | 'port'> {
  readonly timeoutMs: number;
}

/** A code of Node (`ECONNREFUSED`), or `TIMEOUT`. */
export interface Failed {
  readonly code: string;
}

export type Resolution = { readonly addresses: readonly string[] } | Failed;

/** As the system resolves names, which is as undici does. */
export async function resolveName(hostname: string): Promise<Resolution> {
  try {
    const found = await lookup(hostname, { all: true });
    return { addresses: found.map(({ address }) => address) };
  } catch (error) {
    return { code: codeOf(error) };
  }
}

/** Undefined when a connection came about. */
export function tryTcp({ hostname, port, timeoutMs }: ProbeTarget): Promise<Failed | undefined> {
  const { promise, resolve } = Promise.withResolvers<Failed | undefined>();
  const socket = connectTcp({ host: hostname, port });
  const end = (result: Failed | undefined) => {
    socket.destroy();
    resolve(result);
  };
  socket.setTimeout(timeoutMs, () => end({ code: 'TIMEOUT' }));
  socket.once('connect', () => end(undefined));
  socket.on('error', (error) => end({ code: socketCode(error) }));
  return promise;
}

/** What a server showed of itself. Times in milliseconds since the epoch. */
export interface ShownCertificate {
  /** Why OpenSSL or Node does not trust it; undefined when it is trusted. */
  readonly fault: string | undefined;
  readonly subject: string;
  readonly issuer: string;
  readonly validFrom: number;
  readonly validTo: number;
  /** The names it is for, without `DNS:` and `IP Address:`. */
  readonly names: readonly string[];
}

/** Shakes hands as undici would, and looks at the certificate even if it is not to be trusted. */
export function tryTls(
  { hostname, port, timeoutMs }: ProbeTarget,
  ca: string | undefined,
): Promise<ShownCertificate | Failed> {
  const { promise, resolve } = Promise.withResolvers<ShownCertificate | Failed>();
  const socket = connectTls({
    host: hostname,
    port,
    rejectUnauthorized: false,
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    ...(ca === undefined ? {} : { ca }),
  });
  const end = (result: ShownCertificate | Failed) => {
    socket.destroy();
    resolve(result);
  };
  socket.setTimeout(timeoutMs, () => end({ code: 'TIMEOUT' }));
  socket.once('secureConnect', () => {
    end(shown(socket.getPeerCertificate(), socket.authorized ? undefined : socket.authorizationError));
  });
  socket.on('error', (error) => end({ code: socketCode(error) }));
  socket.on('close', () => end({ code: 'ECONNRESET' }));
  return promise;
}

/** How a server takes plain HTTP. `tls`: Go's own answer to plain HTTP at a TLS port. `none`: it is no HTTP. */
export function tryPlainHttp({ hostname, port, timeoutMs }: ProbeTarget): Promise<'http' | 'tls' | 'none'> {
  const { promise, resolve } = Promise.withResolvers<'http' | 'tls' | 'none'>();
  const socket = connectTcp({ host: hostname, port });
  let text = '';
  const end = () => {
    socket.destroy();
    resolve(kindOf(text));
  };
  socket.setTimeout(timeoutMs, end);
  socket.setEncoding('latin1');
  socket.on('data', (part) => {
    text += String(part);
    if (text.length > 4_096) end();
  });
  socket.on('error', end);
  socket.on('close', end);
  socket.write(
    `GET /v1/sys/health?standbyok=true HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`,
  );
  return promise;
}

function kindOf(text: string): 'http' | 'tls' | 'none' {
  if (!text.startsWith('HTTP/')) return 'none';
  return /HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS port/.test(text)
    ? 'tls'
    : 'http';
}

function shown(certificate: PeerCertificate, fault: unknown): ShownCertificate {
  return {
    // Node's types say Error; what is there is its code.
    fault: fault === undefined ? undefined : typeof fault === 'string' ? fault : codeOf(fault),
    subject: nameIn(certificate.subject),
    issuer: nameIn(certificate.issuer),
    validFrom: Date.parse(certificate.valid_from),
    validTo: Date.parse(certificate.valid_to),
    names: (certificate.subjectaltname ?? '')
      .split(', ')
      .map((name) => name.replace(/^(DNS|IP Address):/, ''))
      .filter((name) => name !== ''),
  };
}

function nameIn(name: PeerCertificate['subject'] | undefined): string {
  const first = [name?.CN ?? name?.O].flat()[0];
  return first ?? 'a nameless authority';
}

/** Of a failed dual-stack connect, that of its first address. */
function socketCode(error: unknown): string {
  return codeOf(error instanceof AggregateError ? error.errors[0] : error);
}
