import { once } from 'node:events';
import { checkServerIdentity, connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { codeOf } from '../../errors.ts';
import { firstNameOf, type Identity } from './certificate.ts';
import { certificatesIn } from './pem.ts';
import type { ProbeResult } from './probe-result.ts';
import type { TlsProbe } from './tls-schema.ts';

/**
 * Serves the certificate on a free port of this machine and makes a handshake with it, as a client that trusts `ca`, or the authorities
 * that came with it. Nobody outside is asked, so nothing here refuses. `test_certificate_unreadable`, `test_certificate_untrusted`,
 * `test_certificate_name_mismatch`, `test_value_incomplete` when there is no authority to verify it by.
 */
export async function serveOnLoopback(probe: TlsProbe, identity: Identity): Promise<ProbeResult> {
  const ca = probe.ca === undefined ? [...identity.authorities] : certificatesIn(probe.ca);
  if (ca.length === 0) return { ok: false, code: 'test_value_incomplete', refused: false };
  const server = serverFor(identity);
  // OpenSSL does not take every certificate that Node can read: its key may be too weak, or not for TLS.
  if (server === undefined) return { ok: false, code: 'test_certificate_unreadable', refused: false };
  const deadline = AbortSignal.timeout(probe.timeout);
  try {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening', { signal: deadline });
    return await verified(server, probe.server_name ?? firstNameOf(identity.leaf) ?? '', ca, deadline);
  } catch {
    return { ok: false, code: 'test_failed', refused: false };
  } finally {
    server.close();
  }
}

function serverFor({ chain, key }: Identity): Server | undefined {
  try {
    // What the client says of the handshake is what counts; the server's side of its end is no error of ours.
    return createServer({ cert: chain, key }, (socket) => socket.on('error', () => {}).end()).on(
      'tlsClientError',
      () => {},
    );
  } catch {
    return undefined;
  }
}

async function verified(
  server: Server,
  name: string,
  ca: string[],
  deadline: AbortSignal,
): Promise<ProbeResult> {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port.');
  const client = connect({
    host: '127.0.0.1',
    port: address.port,
    ca,
    rejectUnauthorized: true,
    // Clients trust the authority that issued it, even if its own root did not come along.
    allowPartialTrustChain: true,
    checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
  });
  try {
    await once(client, 'secureConnect', { signal: deadline });
    return { ok: true };
  } catch (error) {
    return verdict(client, error);
  } finally {
    client.on('error', () => {}).destroy();
  }
}

function verdict(client: TLSSocket, error: unknown): ProbeResult {
  if (codeOf(error) === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return { ok: false, code: 'test_certificate_name_mismatch', refused: false };
  }
  // Set by Node when the chain could not be verified, and only then.
  if (client.authorizationError) return { ok: false, code: 'test_certificate_untrusted', refused: false };
  throw error;
}
