import type { Caller } from '../access/callers.ts';
import { subscriptionIdSchema } from '../notices/subscription.ts';
import {
  newSubscriptionSchema,
  showable,
  subscriptionChangesSchema,
} from '../notices/subscription-changes.ts';
import { type HttpAnswer, type HttpRequest, httpRoute, type OnAnswer } from './http-function.ts';
import { bodyOf } from './json-body.ts';
import { asCaller } from './manage-access.ts';
import { queryOf } from './query.ts';
import { noticesQuery, replayBody, rotateSecretQuery, subscriptionListQuery } from './route-inputs.ts';
import { trySendDeliverers } from './send-worker.ts';
import { subscriptionActor } from './subscription-actor.ts';
import { listSubscriptions } from './subscription-list.ts';
import { noticesOf, replayNotices, testSubscription } from './subscription-notices.ts';
import {
  changeSubscription,
  createSubscription,
  deleteSubscription,
  disableSubscription,
  enableSubscription,
  readSubscription,
  rotateSigningSecret,
} from './subscription-operations.ts';
import { invalidSubscriptionId } from './subscription-refusals.ts';
import type { ManageDependencies } from './wire.ts';

/** One request for a subscription, as its caller. `id` is checked; it is empty where the path has none. */
interface Asked {
  readonly deps: ManageDependencies;
  readonly actor: ReturnType<typeof actorOf>;
  readonly request: HttpRequest;
  readonly id: string;
}

/** The routes of `manage` for subscriptions. Whose a caller may see and change is decided by Vault, by the caller's own token. */
export function subscriptionRoutes(dependencies: () => ManageDependencies, onAnswer?: OnAnswer) {
  const route = (work: (asked: Asked) => Promise<HttpAnswer>) =>
    httpRoute((request) => asSubscriber(dependencies(), request, work), onAnswer);
  const all = '/v1/subscriptions';
  const one = `${all}/{id}`;
  return [
    { method: 'POST' as const, path: all, handler: route(create) },
    { method: 'GET' as const, path: all, handler: route(list) },
    { method: 'GET' as const, path: one, handler: route(show) },
    { method: 'PATCH' as const, path: one, handler: route(change) },
    { method: 'DELETE' as const, path: one, handler: route(remove) },
    { method: 'POST' as const, path: `${one}/disable`, handler: route(disable) },
    { method: 'POST' as const, path: `${one}/enable`, handler: route(enable) },
    { method: 'POST' as const, path: `${one}/rotate-secret`, handler: route(rotateSecret) },
    { method: 'POST' as const, path: `${one}/test`, handler: route(test) },
    { method: 'POST' as const, path: `${one}/replay`, handler: route(replay) },
    { method: 'GET' as const, path: `${one}/notices`, handler: route(log) },
  ];
}

function asSubscriber(
  deps: ManageDependencies,
  request: HttpRequest,
  work: (asked: Asked) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  return asCaller(
    deps,
    request,
    'manage',
    () => void idIn(request),
    (caller) => work({ deps, actor: actorOf(deps, caller), request, id: idIn(request) }),
  );
}

function idIn({ parameters: { id } }: HttpRequest): string {
  if (id === undefined) return '';
  if (!subscriptionIdSchema.safeParse(id).success) throw invalidSubscriptionId();
  return id;
}

function actorOf(deps: ManageDependencies, caller: Caller) {
  const { ownNotices: dispatches, deliveries, checkUrl, now } = deps;
  return subscriptionActor({ notices: deps.noticesOf(caller), dispatches, deliveries, checkUrl, now });
}

async function create({ actor, request }: Asked): Promise<HttpAnswer> {
  const { subscription, secret } = await createSubscription(actor, bodyOf(newSubscriptionSchema, request));
  return { status: 201, body: { ...showable(subscription), secret } };
}

async function list({ actor, request }: Asked): Promise<HttpAnswer> {
  return {
    status: 200,
    body: await listSubscriptions(actor.notices, queryOf(subscriptionListQuery, request)),
  };
}

async function show({ actor, id }: Asked): Promise<HttpAnswer> {
  return { status: 200, body: showable(await readSubscription(actor, id)) };
}

async function change({ actor, request, id }: Asked): Promise<HttpAnswer> {
  const changes = bodyOf(subscriptionChangesSchema, request);
  return { status: 200, body: showable(await changeSubscription(actor, id, changes)) };
}

async function remove({ actor, id }: Asked): Promise<HttpAnswer> {
  await deleteSubscription(actor, id);
  return { status: 204 };
}

async function disable({ actor, id }: Asked): Promise<HttpAnswer> {
  return { status: 200, body: showable(await disableSubscription(actor, id)) };
}

async function enable({ actor, id }: Asked): Promise<HttpAnswer> {
  return { status: 200, body: showable(await enableSubscription(actor, id)) };
}

async function rotateSecret({ actor, request, id }: Asked): Promise<HttpAnswer> {
  const { overlap: overlapMs } = queryOf(rotateSecretQuery, request);
  const { subscription, secret } = await rotateSigningSecret(actor, id, { overlapMs });
  return { status: 200, body: { ...showable(subscription), secret } };
}

async function test({ deps, actor, id }: Asked): Promise<HttpAnswer> {
  const dispatch = await testSubscription(actor, id);
  await trySendDeliverers(deps, [dispatch]);
  return { status: 202, body: { dispatch } };
}

async function replay({ deps, actor, request, id }: Asked): Promise<HttpAnswer> {
  const { what, page } = bodyOf(replayBody, request);
  const answer = await replayNotices(actor, id, what, page);
  await trySendDeliverers(deps, answer.replayed);
  return { status: 202, body: answer };
}

async function log({ actor, request, id }: Asked): Promise<HttpAnswer> {
  return { status: 200, body: await noticesOf(actor, id, queryOf(noticesQuery, request)) };
}
