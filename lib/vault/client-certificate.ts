import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { codeOf, LeasekeeperError } from '../errors.ts';

/** What a TLS client shows: its certificate, with those that signed it if need be, and the key to it; both PEM. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads both files and sees that TLS can use them together. Throws `client_certificate_unreadable`, which names the file and nothing of
 * what is in it.
 */
export function readClientCertificate(certFile: string, keyFile: string): ClientCertificate {
  const cert = textOf(certFile);
  const key = textOf(keyFile);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw unreadable(`${certFile} and ${keyFile} are no certificate with its key`, codeOf(error));
  }
  return { cert, key };
}

function textOf(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(`${file} cannot be read`, codeOf(error));
  }
  // TLS takes an empty text for none, and would show no certificate.
  if (text.trim() === '') throw unreadable(`${file} cannot be read`, 'it is empty');
  return text;
}

function unreadable(what: string, why: string): LeasekeeperError {
  return new LeasekeeperError('client_certificate_unreadable', `The client certificate: ${what} (${why}).`, {
    hint: 'VAULT_CLIENT_CERT and VAULT_CLIENT_KEY name files in PEM; the key must be without a passphrase and belong to the certificate.',
  });
}
