import { errors } from 'undici';
import { codeOf, LeasekeeperError } from '../errors.ts';
import { EndpointRefused } from './address-guard.ts';

/** Why there was no answer. */
export type FailureReason =
  | 'timeout'
  | 'refused'
  | 'unreachable'
  | 'reset'
  | 'tls'
  | 'dns'
  /** The endpoint is not to be sent to; the cause is an {@link EndpointRefused}. */
  | 'address'
  /** What came was not HTTP. */
  | 'protocol'
  /** The sender's own side gave up: its signal, or it was closed. */
  | 'aborted'
  | 'other';

const EXPLANATIONS: Readonly<Record<FailureReason, string>> = {
  timeout: 'The endpoint did not answer in time',
  refused: 'The endpoint refused the connection',
  unreachable: 'There is no route to the endpoint',
  reset: 'The endpoint closed the connection without an answer',
  tls: 'No secure connection to the endpoint could be made',
  dns: 'The host of the endpoint does not resolve',
  address: 'Nothing is sent to this endpoint',
  protocol: 'The endpoint did not answer in HTTP',
  aborted: 'Sending was given up',
  other: 'The notice could not be sent',
};

/** A notice got no answer. Code `delivery_failed`; it carries no part of the request, nor the library's error, which might. */
export class DeliveryFailed extends LeasekeeperError {
  readonly reason: FailureReason;

  constructor(reason: FailureReason, code: string, cause?: EndpointRefused) {
    const details =
      cause === undefined ? {} : { cause, ...(cause.hint !== undefined && { hint: cause.hint }) };
    super('delivery_failed', `${EXPLANATIONS[reason]} (${code}).`, details);
    this.reason = reason;
  }
}

/** The codes of Node and OpenSSL that say that no secure connection came about. */
export const TLS_FAULT =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO$)/;

/** The codes of Node, OpenSSL and undici (`UND_ERR_…`); the first match wins. */
const REASONS: ReadonlyArray<readonly [RegExp, FailureReason]> = [
  [/^ETIMEDOUT$|_TIMEOUT$/, 'timeout'],
  [/^ECONNREFUSED$/, 'refused'],
  [/^(?:EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EHOSTDOWN|ENETDOWN)$/, 'unreachable'],
  [/^(?:ENOTFOUND|EAI_[A-Z]+|ENODATA|ESERVFAIL)$/, 'dns'],
  [TLS_FAULT, 'tls'],
  [/^UND_ERR_HEADERS_OVERFLOW$/, 'protocol'],
  [/^(?:ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET)$/, 'reset'],
  [/^(?:UND_ERR_ABORTED|UND_ERR_CLOSED|UND_ERR_DESTROYED)$/, 'aborted'],
];

/** What a thrown value says about a delivery. */
export function deliveryFailure(error: unknown): DeliveryFailed {
  if (error instanceof EndpointRefused) return new DeliveryFailed('address', error.reason, error);
  // An abort signal's own reasons are DOMExceptions, whose code is a number.
  if (error instanceof DOMException) {
    return new DeliveryFailed(error.name === 'TimeoutError' ? 'timeout' : 'aborted', error.name);
  }
  // Only some of the parser's errors have a code.
  if (error instanceof errors.HTTPParserError) return new DeliveryFailed('protocol', error.name);
  const code = codeOf(error);
  const found = REASONS.find(([pattern]) => pattern.test(code));
  return new DeliveryFailed(found?.[1] ?? 'other', code);
}
