import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../errors.ts';
import { backoffMs, DEFAULT_RETRY } from '../retry.ts';
import { createTransport, type Transport, type TransportAnswer } from '../transport.ts';
import type { SignedRequest } from './aws-signer.ts';

/** How a protocol of AWS's tells what went wrong. */
export interface ErrorCodes {
  /** The code in an answer: one word, for the message beside it is AWS's own and may say anything. */
  readonly codeIn: (answer: TransportAnswer) => string | undefined;
  /** Codes that ask for patience. */
  readonly throttling: ReadonlySet<string>;
}

/** What came of a request to AWS: the body of a success, or why there is none. `busy`: the same request may do later. */
export type Sent =
  | { readonly body: string }
  | { readonly body?: never; readonly reason: string; readonly busy: boolean };

const TRIES = 3;

/**
 * Sends a signed request that may be repeated. It is sent three times in all while there is no answer, or AWS is busy: 429, 5xx, or throttling
 * by its code. Never throws.
 */
export async function sendToAws(request: SignedRequest, codes: ErrorCodes): Promise<Sent> {
  const transport = createTransport({ address: new URL(request.url).origin, connections: 1 });
  try {
    for (let attempt = 0; ; attempt += 1) {
      const sent = await sendOnce(transport, request, codes);
      if (sent.body !== undefined || !sent.busy || attempt + 1 === TRIES) return sent;
      await sleep(backoffMs(attempt, DEFAULT_RETRY, Math.random));
    }
  } finally {
    await transport.close();
  }
}

async function sendOnce(
  transport: Transport,
  { url, headers, body }: SignedRequest,
  { codeIn, throttling }: ErrorCodes,
): Promise<Sent> {
  try {
    const path = new URL(url).pathname;
    const answer = await transport.exchange({ method: 'POST', path, headers, body, signal: undefined });
    const { status } = answer;
    if (status === 200) return { body: answer.body };
    const code = codeIn(answer);
    const busy = status === 429 || status >= 500 || (code !== undefined && throttling.has(code));
    return { reason: `HTTP ${status}${code === undefined ? '' : `, ${code}`}`, busy };
  } catch (error) {
    // Not the transport's own error: that speaks of Vault.
    return { reason: codeOf(error) === 'vault_timeout' ? 'no answer in time' : 'no connection', busy: true };
  }
}
