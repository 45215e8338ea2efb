import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../errors.ts';
import { backoffMs, DEFAULT_RETRY } from '../retry.ts';
import { createTransport, type Transport, type TransportAnswer } from '../transport.ts';
import type { SignedRequest } from './aws-signer.ts';

/** What came of a request to AWS: an answer, whatever its status, or why there is none. */
export type Sent =
  | { readonly answer: TransportAnswer; readonly busy: boolean }
  | { readonly answer?: never; readonly reason: string };

const TRIES = 3;

/**
 * Sends a signed request that may be repeated. It is sent three times in all while there is no answer, or AWS is busy: 429, 5xx, or what
 * `isThrottled` knows by its code. Never throws.
 */
export async function sendToAws(
  request: SignedRequest,
  isThrottled: (answer: TransportAnswer) => boolean,
): Promise<Sent> {
  const transport = createTransport({ address: new URL(request.url).origin, connections: 1 });
  try {
    for (let attempt = 0; ; attempt += 1) {
      const sent = await sendOnce(transport, request, isThrottled);
      if ((sent.answer !== undefined && !sent.busy) || attempt + 1 === TRIES) return sent;
      await sleep(backoffMs(attempt, DEFAULT_RETRY, Math.random));
    }
  } finally {
    await transport.close();
  }
}

async function sendOnce(
  transport: Transport,
  { url, headers, body }: SignedRequest,
  isThrottled: (answer: TransportAnswer) => boolean,
): Promise<Sent> {
  try {
    const path = new URL(url).pathname;
    const answer = await transport.exchange({ method: 'POST', path, headers, body, signal: undefined });
    return { answer, busy: answer.status === 429 || answer.status >= 500 || isThrottled(answer) };
  } catch (error) {
    // Not the transport's own error: that speaks of Vault.
    return { reason: codeOf(error) === 'vault_timeout' ? 'no answer in time' : 'no connection' };
  }
}
