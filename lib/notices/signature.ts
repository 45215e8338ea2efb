import { createHmac } from 'node:crypto';
import { LeasekeeperError } from '../errors.ts';

/**
 * Signatures by Standard Webhooks 1.0.0 (https://github.com/standard-webhooks/standard-webhooks, "Verifying webhook
 * authenticity"): HMAC-SHA256 of `id.timestamp.body`, symmetric scheme `v1`.
 */
const PREFIX = 'whsec_';
const NEW_SECRET_BYTES = 32;
/** The specification's bounds: at least 192 bits, at most 512. */
const LEAST_SECRET_BYTES = 24;
const MOST_SECRET_BYTES = 64;

export interface Signable {
  /** The event's own id, the same at every attempt. */
  readonly id: string;
  /** When this attempt is made, in whole seconds since 1970. */
  readonly timestampSeconds: number;
  /** Exactly what is sent: to serialise it again may change it. */
  readonly body: string;
  /** Signing secrets, `whsec_…`; each gives a signature of its own, so that old and new both hold while they overlap. */
  readonly secrets: readonly string[];
}

/** The three headers of a signed notice. A type, not an interface, so that it passes for a record of headers. */
export type SignatureHeaders = {
  readonly 'webhook-id': string;
  readonly 'webhook-timestamp': string;
  readonly 'webhook-signature': string;
};

/** A new signing secret of 32 random bytes, as it is shown to the subscriber. */
export function createSigningSecret(randomBytes: (size: number) => Uint8Array): string {
  const secret = PREFIX + Buffer.from(randomBytes(NEW_SECRET_BYTES)).toString('base64');
  keyOf(secret);
  return secret;
}

/** Throws `signing_secret_invalid` unless the text is a secret that {@link sign} takes. */
export function checkSigningSecret(secret: string): void {
  keyOf(secret);
}

/**
 * The value of `webhook-signature`: `v1,<base64>` for each secret, separated by spaces.
 * Throws `signing_secret_missing`, `signing_secret_invalid`, `notice_id_invalid` or `notice_timestamp_invalid`.
 */
export function sign({ id, timestampSeconds, body, secrets }: Signable): string {
  checkId(id);
  checkTimestamp(timestampSeconds);
  if (secrets.length === 0) {
    throw new LeasekeeperError('signing_secret_missing', 'There is no secret to sign the notice with.', {
      hint: 'Rotate the signing secret of the subscription.',
    });
  }
  const content = `${id}.${timestampSeconds}.${body}`;
  return secrets
    .map((secret) => `v1,${createHmac('sha256', keyOf(secret)).update(content).digest('base64')}`)
    .join(' ');
}

/** The headers of one attempt. Throws what {@link sign} throws. */
export function headers(signable: Signable): SignatureHeaders {
  return {
    'webhook-id': signable.id,
    'webhook-timestamp': String(signable.timestampSeconds),
    'webhook-signature': sign(signable),
  };
}

function keyOf(secret: string): Buffer {
  if (!secret.startsWith(PREFIX)) throw invalidSecret(`it does not begin with ${PREFIX}`);
  const encoded = secret.slice(PREFIX.length);
  const key = Buffer.from(encoded, 'base64');
  // Buffer skips what is not base64. Receivers' libraries do not, so a secret must come out as it went in.
  if (key.toString('base64') !== encoded) throw invalidSecret('it is not padded standard base64');
  if (key.length < LEAST_SECRET_BYTES || key.length > MOST_SECRET_BYTES) {
    throw invalidSecret(`it has ${key.length} bytes, not ${LEAST_SECRET_BYTES} to ${MOST_SECRET_BYTES}`);
  }
  return key;
}

function invalidSecret(reason: string): LeasekeeperError {
  return new LeasekeeperError('signing_secret_invalid', `The signing secret cannot be used: ${reason}.`, {
    hint: `A signing secret is ${PREFIX} and the base64 of ${LEAST_SECRET_BYTES} to ${MOST_SECRET_BYTES} random bytes.`,
  });
}

/** A full stop in the id would let one signature fit two notices; spaces and control characters break the header. */
function checkId(id: string): void {
  if (/^[\x21-\x2d\x2f-\x7e]{1,256}$/.test(id)) return;
  throw new LeasekeeperError('notice_id_invalid', 'The id of a notice cannot be signed.', {
    hint: 'An id has 1 to 256 printable ASCII characters, no space and no full stop.',
  });
}

function checkTimestamp(timestampSeconds: number): void {
  if (Number.isSafeInteger(timestampSeconds) && timestampSeconds >= 0) return;
  throw new LeasekeeperError(
    'notice_timestamp_invalid',
    'The time of an attempt is not in whole seconds since 1970.',
  );
}
