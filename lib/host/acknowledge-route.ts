import type { Caller } from '../access/callers.ts';
import { writeAcknowledgement } from '../vault/acknowledgements.ts';
import type { HttpAnswer, HttpRequest } from './http-function.ts';
import { bodyOf } from './json-body.ts';
import { acknowledgementBody } from './route-inputs.ts';
import { trySendWorker } from './send-worker.ts';
import type { ManageDependencies } from './wire.ts';

/**
 * A consumer says that it has adopted a generation of the managed secret `name`. It is written with the consumer's own token, whose policy
 * says for whom it may speak; whether there is such a secret it need not know, and is not told. A worker is sent to look.
 */
export async function acknowledgeAs(
  deps: ManageDependencies,
  caller: Caller,
  request: HttpRequest,
  name: string,
): Promise<HttpAnswer> {
  const { consumer, generation } = bodyOf(acknowledgementBody, request);
  const stands = await writeAcknowledgement(deps.storeOf(caller), name, consumer, generation);
  if (stands.isNew) await hintAt(deps, name);
  return { status: 202, body: { name, consumer, generation: stands.generation } };
}

/** Only to be quick: a generation that waits for consumers is looked at every now and then in any case. */
async function hintAt(deps: ManageDependencies, name: string): Promise<void> {
  try {
    await deps.postHint(name);
  } catch (error) {
    deps.onError(error, name);
  }
  await trySendWorker(deps, name);
}
