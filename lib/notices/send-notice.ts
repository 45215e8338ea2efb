import { cloudEventHeaders } from '../bus/cloud-event.ts';
import { BATCH_TYPE } from '../bus/events.ts';
import { redactedExcerpt } from '../telemetry/redacted-excerpt.ts';
import { DeliveryFailed } from './delivery-failure.ts';
import { type Dispatch, noticeBody, noticeIdOf, typeOf } from './dispatch.ts';
import type { AttemptResult } from './notice.ts';
import { judge } from './schedule.ts';
import type { Sender } from './sender.ts';
import { headers } from './signature.ts';
import { type Subscription, signingSecretsAt } from './subscription.ts';

/** Signs a dispatch for one subscription, sends it once, and says what came of it. */
export async function sendNotice(
  deps: { readonly sender: Sender; readonly now: () => number },
  subscription: Subscription,
  key: string,
  dispatch: Pick<Dispatch, 'events' | 'created'>,
): Promise<AttemptResult> {
  const now = deps.now();
  const body = noticeBody(key, dispatch);
  const signed = headers({
    id: noticeIdOf(key),
    timestampSeconds: Math.floor(now / 1_000),
    body,
    secrets: signingSecretsAt(subscription, now),
  });
  const described = subscription.cloudevents === true ? cloudEventHeadersOf(subscription, key, dispatch) : {};
  try {
    const answer = await deps.sender.send({
      url: subscription.url,
      headers: { 'content-type': 'application/json', 'user-agent': 'leasekeeper', ...described, ...signed },
      body,
    });
    return {
      ...judge(answer, deps.now()),
      durationMs: Math.round(answer.durationMs),
      answer: redactedExcerpt(answer.excerpt),
    };
  } catch (error) {
    if (error instanceof DeliveryFailed) return { kind: 'retry', reason: error.reason };
    throw error;
  }
}

function cloudEventHeadersOf(
  { id: subject }: Subscription,
  key: string,
  dispatch: Pick<Dispatch, 'events' | 'created'>,
): Record<string, string> {
  const [event] = dispatch.events;
  if (event === undefined) return {};
  const type = typeOf(key, dispatch);
  if (type !== BATCH_TYPE) return cloudEventHeaders(event);
  const time = new Date(dispatch.created).toISOString();
  return cloudEventHeaders(event, { id: noticeIdOf(key), type, time, subject });
}
