import { LeasekeeperError } from '../../errors.ts';
import { problemAnswer } from '../../host/openapi/answers.ts';
import { jsonIn } from '../../json-in.ts';
import { TLS_FAULT } from '../../notices/delivery-failure.ts';
import { PRINTED_SECRET, type Secret } from '../../telemetry/secret.ts';
import { isVaultError } from '../../vault/errors.ts';
import type { TransportAnswer } from '../../vault/transport.ts';

/** A request that failed, as far as its error tells of it. */
export interface Asked {
  readonly method: string;
  /** From `/v1` on, without a query. */
  readonly path: string;
}

const MAYBE_DONE = ' It may have been done all the same: look before you ask again.';
const NOT_THE_API =
  'Check that LEASEKEEPER_URL is the address of Leasekeeper, and not of a proxy or a portal.';

/** Why there is no answer. Takes what the transport throws, and the reason of a signal that ended the request. */
export function networkFault(error: unknown, asked: Asked): unknown {
  if (error instanceof DOMException && error.name === 'TimeoutError') return tooSlow(asked);
  if (!isVaultError(error, 'vault_timeout', 'vault_unreachable')) return error;
  if (error.code === 'vault_timeout') return tooSlow(asked);
  // Not the transport's own error: that speaks of Vault.
  const [reason = 'unknown'] = error.reasons;
  if (TLS_FAULT.test(reason)) return insecureConnection(reason);
  if (reason === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return unfit(asked, 'with more than is ever asked for');
  if (/^(?:HPE_|HTTPParserError$)/.test(reason)) return unfit(asked, 'with something other than HTTP');
  const hint = 'Check LEASEKEEPER_URL, and the network between.';
  return new LeasekeeperError('api_unreachable', `Leasekeeper cannot be reached (${reason}).`, {
    hint: error.processed === 'maybe' ? withDoubt(asked, hint) : hint,
  });
}

function tooSlow(asked: Asked): LeasekeeperError {
  return new LeasekeeperError('api_timeout', `Leasekeeper did not answer ${label(asked)} in time.`, {
    hint: withDoubt(asked, 'Check how it is, and whether it reaches Vault.'),
  });
}

function insecureConnection(reason: string): LeasekeeperError {
  return new LeasekeeperError(
    'api_tls_failed',
    `No secure connection to Leasekeeper came about (${reason}). Nothing was sent.`,
    { hint: 'Check the certificate; LEASEKEEPER_CACERT names a file with a private CA.' },
  );
}

/** An answer that does not fit what was asked. `how` says nothing of what is in it. */
export function unfit(asked: Asked, how: string): LeasekeeperError {
  return new LeasekeeperError('api_answer_invalid', `${label(asked)} was answered ${how}.`, {
    hint: withDoubt(asked, NOT_THE_API),
  });
}

/**
 * What an answer that is no success says: a problem document its own code, detail and hint; all else something of whatever stands before
 * Leasekeeper, whose words are not repeated. `waitMs`: how long it asks to be left alone.
 */
export function refusalIn(
  answer: TransportAnswer,
  asked: Asked,
  { secret, waitMs }: { readonly secret: Secret; readonly waitMs: number | undefined },
): LeasekeeperError {
  const problem = problemIn(answer);
  const wait = waitMs === undefined ? '' : ` It asks to be left alone for ${Math.ceil(waitMs / 1_000)} s.`;
  if (problem === undefined) return strangersRefusal(answer, asked, wait);
  const hint = `${problem.hint ?? ''}${wait}`.trim();
  return new LeasekeeperError(problem.code, presentable(problem.detail, secret), {
    ...(hint === '' ? {} : { hint: presentable(hint, secret) }),
  });
}

interface Told {
  readonly code: string;
  readonly detail: string;
  readonly hint?: string | undefined;
}

/** Undefined when an answer is no problem document of ours. */
export function problemIn({ body }: Pick<TransportAnswer, 'body'>): Told | undefined {
  const parsed = problemAnswer.safeParse(jsonIn(body));
  return parsed.success && /^[a-z][a-z0-9_]{0,63}$/.test(parsed.data.code) ? parsed.data : undefined;
}

function strangersRefusal(
  { status, headers }: TransportAnswer,
  asked: Asked,
  wait: string,
): LeasekeeperError {
  const answered = `${label(asked)} was answered ${status}`;
  const notOurs = 'by something that is not Leasekeeper';
  if (status >= 300 && status < 400) {
    const to = URL.parse(headers.location ?? '')?.origin;
    return new LeasekeeperError(
      'api_redirected',
      `${answered}, a redirect${to === undefined || to === 'null' ? '' : ` to ${to}`}. It is not followed: the token is for LEASEKEEPER_URL alone.`,
      { hint: 'Set LEASEKEEPER_URL to where Leasekeeper itself answers.' },
    );
  }
  if (status === 401 || status === 403) {
    return new LeasekeeperError('api_denied', `${answered} ${notOurs}.`, {
      hint: 'Look at what stands before it: an authorizer, a firewall, a proxy.',
    });
  }
  if (status === 429) {
    return new LeasekeeperError('api_rate_limited', `${answered} ${notOurs}: too many requests.`, {
      hint: `Try again later.${wait}`,
    });
  }
  if (status >= 500) {
    return new LeasekeeperError('api_unavailable', `${answered} ${notOurs}.`, {
      hint: withDoubt(asked, `See the log of the gateway and of the function.${wait}`),
    });
  }
  return unfit(asked, `${status}, ${notOurs}`);
}

function withDoubt({ method }: Asked, hint: string): string {
  return method === 'GET' ? hint : `${hint}${MAYBE_DONE}`;
}

function label({ method, path }: Asked): string {
  return `${method} ${path}`;
}

const LONGEST_SHOWN = 4_096;

/** Somebody else's words for a terminal: bounded, without what it would act on, and without what we have shown to prove who we are. */
function presentable(text: string, secret: Secret): string {
  return text
    .replaceAll(secret.expose(), PRINTED_SECRET)
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, LONGEST_SHOWN);
}
