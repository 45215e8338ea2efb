import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A certificate and its key in PEM, made anew each time, so that no key lies in the repository. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

interface Wanted {
  /** As OpenSSL writes it: `/CN=app`. */
  readonly subject?: string;
  /** As OpenSSL writes them: `DNS:app.example,IP:127.0.0.1`. */
  readonly names?: string;
  /** It may sign others. */
  readonly authority?: boolean;
  /** `serverAuth` or `clientAuth`; default: for both. */
  readonly use?: string;
  readonly signedBy?: Issued;
  readonly days?: number;
}

/** Issues a certificate, signed by another one or by itself. */
export function issue(wanted: Wanted = {}): Issued {
  const { subject = '/CN=app', names, authority = false, use, signedBy, days = 1 } = wanted;
  const extensions = [
    `basicConstraints=critical,CA:${authority ? 'TRUE' : 'FALSE'}`,
    ...(names === undefined ? [] : [`subjectAltName=${names}`]),
    ...(use === undefined ? [] : [`extendedKeyUsage=${use}`]),
  ].flatMap((extension) => ['-addext', extension]);
  const folder = mkdtempSync(path.join(tmpdir(), 'leasekeeper-certificate-'));
  try {
    const [certificateFile, keyFile] = [path.join(folder, 'ca.pem'), path.join(folder, 'ca.key')];
    const signer = signedBy === undefined ? [] : ['-CA', certificateFile, '-CAkey', keyFile];
    if (signedBy !== undefined) {
      writeFileSync(certificateFile, signedBy.certificate);
      writeFileSync(keyFile, signedBy.key, { mode: 0o600 });
    }
    const request = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days ${days}`.split(' ');
    const pem = execFileSync(
      'openssl',
      [...request, '-subj', subject, ...extensions, ...signer, '-keyout', '-', '-out', '-'],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const begin = pem.indexOf('-----BEGIN CERTIFICATE-----');
    return { key: pem.slice(0, begin), certificate: pem.slice(begin) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
