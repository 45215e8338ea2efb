import { type Identity, identityOf, lifeFault } from './certificate.ts';
import { presentTo } from './client-certificate.ts';
import type { ProbeResult } from './probe-result.ts';
import { serveOnLoopback } from './server-certificate.ts';
import type { TlsProbe } from './tls-schema.ts';
import type { Value } from './value-fields.ts';

/** Tries a certificate and its key. `now` is in milliseconds. */
export async function testCertificate(probe: TlsProbe, value: Value, now: number): Promise<ProbeResult> {
  const identity = identityOf(value);
  if (!identity.ok) return identity;
  return lifeFault(identity.leaf, now, probe.valid_for) ?? (await handshake(probe, identity));
}

function handshake(probe: TlsProbe, identity: Identity): Promise<ProbeResult> {
  const { host, port } = probe;
  return host === undefined || port === undefined
    ? serveOnLoopback(probe, identity)
    : presentTo({ host, port }, probe, identity);
}
