import * as z from 'zod';
import type { Caller } from '../access/callers.ts';
import { explained, type IssuedSecret, issueRequestSchema, issueSecret } from '../access/issue.ts';
import { problemOf } from '../access/problem.ts';
import { checkPath, isNamedBy, readSecret } from '../access/read.ts';
import { isVaultError } from '../vault/errors.ts';
import {
  bodyOf,
  type HttpAnswer,
  type HttpRequest,
  httpRoute,
  type OnAnswer,
  proofIn,
} from './http-function.ts';
import { queryOf } from './query.ts';
import type { FetchDependencies } from './wire.ts';

/** The routes of `fetch`. Each acts with its caller's login, so every decision is Vault's. */
export function fetchRoutes(dependencies: () => FetchDependencies, onAnswer?: OnAnswer) {
  const route = (handle: (deps: FetchDependencies, request: HttpRequest) => Promise<HttpAnswer>) =>
    httpRoute(async (request) => handle(dependencies(), request), onAnswer);
  return [
    { method: 'POST' as const, path: '/v1/leases', handler: route(issue) },
    { method: 'GET' as const, path: '/v1/secrets/{proxy+}', handler: route(read) },
  ];
}

async function issue(deps: FetchDependencies, request: HttpRequest): Promise<HttpAnswer> {
  const asked = bodyOf(issueRequestSchema, request);
  const answer = await asCaller(deps, request, { action: 'issue', path: asked.path }, async (caller) => {
    const issued = await issueSecret(deps, caller, asked).catch(async (error: unknown) => {
      throw await explained(error, deps, caller, asked.path);
    });
    return { issued, vaultRequestId: issued.vaultRequestId, leaseId: issued.leaseId };
  });
  return { status: 201, body: issuedBody(answer.issued) };
}

/** The only place where an issued value leaves: in the answer to its caller. */
function issuedBody(issued: IssuedSecret) {
  return {
    lease_id: issued.leaseId,
    expires_at: new Date(issued.expiresAt).toISOString(),
    lease_duration: issued.ttlSeconds,
    renewable: issued.renewable,
    kept: issued.kept,
    ...(issued.data === undefined ? {} : { data: issued.data.expose() }),
    ...(issued.wrap === undefined
      ? {}
      : {
          wrap_info: {
            token: issued.wrap.token,
            accessor: issued.wrap.accessor,
            ttl: issued.wrap.ttlSeconds,
          },
        }),
  };
}

const readQuery = z.object({
  generation: z
    .union(
      [
        z.enum(['current', 'previous']),
        z
          .string()
          .regex(/^[1-9]\d{0,14}$/)
          .transform(Number),
      ],
      {
        error: 'expected a number, current or previous',
      },
    )
    .optional(),
});

async function read(deps: FetchDependencies, request: HttpRequest): Promise<HttpAnswer> {
  const path = request.parameters.proxy ?? '';
  const secret = await asCaller(deps, request, { action: 'read', path }, (caller) =>
    readSecret(deps, caller, path, queryOf(readQuery, request).generation),
  );
  const headers: Record<string, string> = secret.etag === undefined ? {} : { etag: secret.etag };
  if (secret.etag !== undefined && isNamedBy(request.headers['if-none-match'], secret.etag))
    return { status: 304, headers };
  return {
    status: 200,
    headers,
    body: {
      data: secret.data.expose(),
      version: secret.version,
      ...(secret.generation === undefined ? {} : { generation: secret.generation }),
    },
  };
}

interface Access {
  readonly action: 'issue' | 'read';
  readonly path: string;
}

/** Runs as the caller and writes one audit line, whatever comes of it. */
async function asCaller<T extends { readonly vaultRequestId: string; readonly leaseId?: string }>(
  deps: FetchDependencies,
  request: HttpRequest,
  access: Access,
  work: (caller: Caller) => Promise<T>,
): Promise<T> {
  const started = deps.now();
  const kind = access.action === 'issue' ? 'dynamic' : 'static';
  let who: Caller['who'] = {};
  const audit = (
    outcome: 'ok' | 'denied' | 'error',
    more: { code?: string; vault_request_id?: string; lease_id?: string },
  ) => {
    deps.metrics.increment('vault_secret_requests_total', { path: access.path, kind, outcome });
    deps.metrics.increment('leasekeeper_fetches_total', { outcome });
    deps.audit({
      who,
      ...access,
      outcome,
      latency_ms: Math.max(0, deps.now() - started),
      request_id: request.requestId,
      ...more,
    });
  };
  try {
    // Before the caller is looked up: a path that is refused in any case costs Vault nothing.
    checkPath(access.path);
    const proof = proofIn(request);
    const caller = await deps.callers.identify(proof);
    who = caller.who;
    const done = await work(caller).catch((error: unknown) => {
      if (isVaultError(error, 'vault_denied')) deps.callers.doubt(proof);
      throw error;
    });
    audit('ok', {
      ...(done.vaultRequestId === '' ? {} : { vault_request_id: done.vaultRequestId }),
      ...(done.leaseId === undefined ? {} : { lease_id: done.leaseId }),
    });
    return done;
  } catch (error) {
    const problem = problemOf(error);
    audit(problem.status === 401 || problem.status === 403 ? 'denied' : 'error', { code: problem.code });
    throw error;
  }
}
