import type { Caller } from '../access/callers.ts';
import { RequestError } from '../access/problem.ts';
import { nameSchema } from '../rotation/name.ts';
import { acknowledgeAs } from './acknowledge-route.ts';
import { type HttpAnswer, type HttpRequest, httpRoute, type OnAnswer } from './http-function.ts';
import { asCaller } from './manage-access.ts';
import {
  apply,
  type ChangeRequest,
  pauseNow,
  removeNow,
  resumeNow,
  rotate,
  supplyValue,
} from './managed-changes.ts';
import { readListed } from './managed-list.ts';
import { unknownName } from './managed-refusals.ts';
import { summaryOf } from './managed-summary.ts';
import { queryOf } from './query.ts';
import { managedListQuery } from './route-inputs.ts';
import { schemaRoutes } from './schema-routes.ts';
import { trySendWorker } from './send-worker.ts';
import { subscriptionRoutes } from './subscription-routes.ts';
import type { ManageDependencies } from './wire.ts';

/** The routes of `manage`. What is managed is read and written with the caller's own token, so operators' rights are Vault policies. */
export function manageRoutes(dependencies: () => ManageDependencies, onAnswer?: OnAnswer) {
  const route = (handle: (deps: ManageDependencies, request: HttpRequest) => Promise<HttpAnswer>) =>
    httpRoute((request) => handle(dependencies(), request), onAnswer);
  const change = (make: (asked: ChangeRequest) => Promise<HttpAnswer>) =>
    route((deps, request) => changeAs(deps, request, make));
  const one = '/v1/managed/{name}';
  return [
    { method: 'GET' as const, path: '/v1/managed', handler: route(list) },
    { method: 'GET' as const, path: one, handler: route(show) },
    { method: 'PUT' as const, path: one, handler: change(apply) },
    { method: 'DELETE' as const, path: one, handler: change(removeNow) },
    { method: 'POST' as const, path: `${one}/rotate`, handler: change(rotate) },
    { method: 'POST' as const, path: `${one}/pause`, handler: change(pauseNow) },
    { method: 'POST' as const, path: `${one}/resume`, handler: change(resumeNow) },
    { method: 'PUT' as const, path: `${one}/value`, handler: change(supplyValue) },
    { method: 'POST' as const, path: '/v1/secrets/{name}/acks', handler: route(acknowledge) },
    ...subscriptionRoutes(dependencies, onAnswer),
    ...schemaRoutes(onAnswer),
  ];
}

/** One page: it may show fewer than `limit`, because removed ones are left out of it. `next` is what to send as `after`. */
function list(deps: ManageDependencies, request: HttpRequest): Promise<HttpAnswer> {
  return asOperator(deps, request, async (caller) => {
    const { limit, after = '', removed } = queryOf(managedListQuery, request);
    const secrets = deps.secretsOf(caller);
    const names = (await secrets.names()).toSorted().filter((name) => name > after);
    const page = names.slice(0, limit);
    const managed = (await readListed(secrets, page)).filter((one) => removed || one.removed !== true);
    return { status: 200, body: { managed, ...(names.length > limit ? { next: page.at(-1) } : {}) } };
  });
}

function show(deps: ManageDependencies, request: HttpRequest): Promise<HttpAnswer> {
  return asOperator(deps, request, async (caller) => {
    const name = nameIn(request);
    const secret = await deps.secretsOf(caller).read(name);
    if (secret === undefined) throw unknownName(name);
    return { status: 200, body: summaryOf(secret) };
  });
}

function changeAs(
  deps: ManageDependencies,
  request: HttpRequest,
  make: (asked: ChangeRequest) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  return asOperator(deps, request, async (caller) => {
    const name = nameIn(request);
    const operator = { secrets: deps.secretsOf(caller), by: caller.name, now: deps.now };
    const answer = await make({ operator, store: deps.storeOf(caller), name, request });
    await trySendWorker(deps, name);
    return answer;
  });
}

function acknowledge(deps: ManageDependencies, request: HttpRequest): Promise<HttpAnswer> {
  return asCaller(
    deps,
    request,
    'ack',
    () => void nameIn(request),
    (caller) => acknowledgeAs(deps, caller, request, nameIn(request)),
  );
}

function asOperator(
  deps: ManageDependencies,
  request: HttpRequest,
  work: (caller: Caller) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  const check = () => {
    if (request.parameters.name !== undefined) nameIn(request);
  };
  return asCaller(deps, request, 'manage', check, work);
}

function nameIn(request: HttpRequest): string {
  const parsed = nameSchema.safeParse(request.parameters.name);
  if (!parsed.success)
    throw new RequestError(400, 'name_invalid', 'The name of the managed secret will not do.');
  return parsed.data;
}
