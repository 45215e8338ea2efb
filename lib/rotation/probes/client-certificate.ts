import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { codeOf } from '../../errors.ts';
import type { Identity } from './certificate.ts';
import { certificatesIn } from './pem.ts';
import type { ProbeResult } from './probe-result.ts';
import type { TlsProbe } from './tls-schema.ts';

/** In TLS 1.3 a server judges the client's certificate after the client is done: so long it may still hang up. Milliseconds. */
const JUDGEMENT_MS = 1_000;

/** The alerts that are about the client's certificate (RFC 8446, section 6.2), in OpenSSL's names for them. */
const ABOUT_THE_CERTIFICATE =
  /_ALERT_(BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN|REQUIRED)|UNKNOWN_CA|ACCESS_DENIED)$/;

const REFUSED: ProbeResult = { ok: false, code: 'test_certificate_refused', refused: true };
/** It hung up and did not say why. */
const DROPPED: ProbeResult = { ok: false, code: 'test_certificate_refused', refused: false };
const FAILED: ProbeResult = { ok: false, code: 'test_failed', refused: false };

/**
 * Connects to a server with the certificate as the client's. It is taken when the server speaks, or keeps the connection for a second
 * after the handshake. `test_certificate_refused`; `test_failed` when there was no handshake, or the server is not to be trusted itself.
 */
export function presentTo(
  { host, port }: { host: string; port: number },
  { server_name, ca, timeout }: TlsProbe,
  { chain, key }: Identity,
): Promise<ProbeResult> {
  const { promise, resolve } = Promise.withResolvers<ProbeResult>();
  const servername = server_name ?? host;
  let socket: TLSSocket;
  try {
    socket = connect({
      host,
      port,
      cert: chain,
      key,
      // An address cannot be asked for in a handshake (RFC 6066, section 3); the certificate is compared with it all the same.
      ...(isIP(servername) === 0 && { servername }),
      ...(ca !== undefined && { ca: certificatesIn(ca), allowPartialTrustChain: true }),
    });
  } catch {
    return Promise.resolve({ ok: false, code: 'test_certificate_unreadable', refused: false });
  }
  let shaken = false;
  const timers = [setTimeout(() => resolve(FAILED), timeout)];
  socket.once('secureConnect', () => {
    shaken = true;
    timers.push(setTimeout(() => resolve({ ok: true }), JUDGEMENT_MS));
  });
  socket.once('data', () => resolve({ ok: true }));
  socket.once('close', () => resolve(shaken ? DROPPED : FAILED));
  socket.on('error', (error) => {
    const alert = ABOUT_THE_CERTIFICATE.test(codeOf(error));
    resolve(alert ? REFUSED : shaken ? DROPPED : FAILED);
  });
  return promise.finally(() => {
    for (const timer of timers) clearTimeout(timer);
    socket.destroy();
  });
}
