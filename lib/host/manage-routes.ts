import { ulid } from 'ulid';
import type { Caller } from '../access/callers.ts';
import { problemOf, RequestError } from '../access/problem.ts';
import { eventId } from '../bus/events.ts';
import type { ManagedSecret, ManagedSecrets } from '../rotation/managed-secrets.ts';
import { nameSchema } from '../rotation/specification-fields.ts';
import { demanded } from '../rotation/upkeep.ts';
import { type HttpAnswer, type HttpRequest, httpRoute, type OnAnswer, proofIn } from './http-function.ts';
import type { ManageDependencies } from './wire.ts';

/** The routes of `manage`. What is managed is read and written with the caller's own token, so operators' rights are Vault policies. */
export function manageRoutes(dependencies: () => ManageDependencies, onAnswer?: OnAnswer) {
  const route = (
    handle: (deps: ManageDependencies, secrets: ManagedSecrets, request: HttpRequest) => Promise<HttpAnswer>,
  ) => httpRoute(async (request) => asOperator(dependencies(), request, handle), onAnswer);
  return [
    { method: 'GET' as const, path: '/v1/managed', handler: route(list) },
    { method: 'GET' as const, path: '/v1/managed/{name}', handler: route(show) },
    { method: 'POST' as const, path: '/v1/managed/{name}/rotate', handler: route(rotate) },
  ];
}

async function list(_deps: ManageDependencies, secrets: ManagedSecrets): Promise<HttpAnswer> {
  return { status: 200, body: { managed: await secrets.names() } };
}

async function show(
  _deps: ManageDependencies,
  secrets: ManagedSecrets,
  request: HttpRequest,
): Promise<HttpAnswer> {
  const secret = await secrets.read(nameIn(request));
  if (secret === undefined) throw unknownName(nameIn(request));
  return { status: 200, body: summaryOf(secret) };
}

async function rotate(
  deps: ManageDependencies,
  secrets: ManagedSecrets,
  request: HttpRequest,
): Promise<HttpAnswer> {
  const name = nameIn(request);
  if ((await secrets.read(name)) === undefined) throw unknownName(name);
  const reason = request.query.revoke === 'immediately' ? 'leak' : 'demand';
  const secret = await secrets.change(name, (state) => demanded(state, { reason }, deps.now()));
  const time = new Date(deps.now()).toISOString();
  const shard = await deps.shardOfSecret(name);
  // Only to be quick: the hint was posted with the change, so the next scan would find it.
  await deps.bus
    .publish([{ id: eventId('rotation.due', name, ulid()), type: 'rotation.due', time, data: { shard } }])
    .catch((error: unknown) => deps.onError(error, name));
  return { status: 202, body: summaryOf(secret) };
}

/** What may be told of a managed secret: never a handle's accessor, never a value. */
export function summaryOf({ name, input, state, version }: ManagedSecret) {
  return {
    name,
    specification: input,
    phase: state.phase,
    generation: state.cur?.g ?? 0,
    since: moment(state.cur?.since),
    pending_generation: state.g,
    retiring: state.retiring.map(({ g, notBefore, deadline, why, failures }) => ({
      generation: g,
      why,
      not_before: moment(notBefore),
      deadline: moment(deadline),
      failures,
    })),
    failures: state.failures,
    next_rotation: state.phase === 'idle' ? moment(state.due) : undefined,
    retry_at: moment(state.retryAt),
    acknowledged: state.acks,
    unpublished_events: Object.keys(state.outbox).length,
    document_version: version,
  };
}

function moment(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

function nameIn(request: HttpRequest): string {
  const parsed = nameSchema.safeParse(request.parameters.name);
  if (!parsed.success)
    throw new RequestError(400, 'name_invalid', 'The name of the managed secret will not do.');
  return parsed.data;
}

function unknownName(name: string): RequestError {
  return new RequestError(
    404,
    'managed_secret_unknown',
    `There is no managed secret named ${name}.`,
    'GET /v1/managed lists them.',
  );
}

/** Runs as the caller and writes one audit line. */
async function asOperator(
  deps: ManageDependencies,
  request: HttpRequest,
  handle: (deps: ManageDependencies, secrets: ManagedSecrets, request: HttpRequest) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  const started = deps.now();
  let who: Caller['who'] = {};
  const audit = (outcome: 'ok' | 'denied' | 'error', code?: string) =>
    deps.audit({
      who,
      action: 'manage',
      path: request.path,
      outcome,
      latency_ms: Math.max(0, deps.now() - started),
      request_id: request.requestId,
      ...(code === undefined ? {} : { code }),
    });
  try {
    // Before the caller is looked up: a name that is refused in any case costs Vault nothing.
    if (request.parameters.name !== undefined) nameIn(request);
    const caller = await deps.callers.identify(proofIn(request));
    who = caller.who;
    const answer = await handle(deps, deps.secretsOf(caller), request);
    audit('ok');
    return answer;
  } catch (error) {
    const problem = problemOf(error);
    audit(problem.status === 401 || problem.status === 403 ? 'denied' : 'error', problem.code);
    throw error;
  }
}
