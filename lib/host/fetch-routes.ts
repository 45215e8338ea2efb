import { type Access, accessAs, identityOf } from '../access/audited-access.ts';
import { checkPath, isNamedBy, readSecret } from '../access/read.ts';
import { type HttpAnswer, type HttpRequest, httpRoute, type OnAnswer } from './http-function.ts';
import { issue, issueBatch, renew, revoke } from './lease-routes.ts';
import { queryOf } from './query.ts';
import { proofIn } from './request-proof.ts';
import { readQuery } from './route-inputs.ts';
import type { FetchDependencies } from './wire.ts';

/** The routes of `fetch`. Each acts with its caller's login, so every decision is Vault's. */
export function fetchRoutes(dependencies: () => FetchDependencies, onAnswer?: OnAnswer) {
  const route = (handle: (deps: FetchDependencies, request: HttpRequest) => Promise<HttpAnswer>) =>
    httpRoute(async (request) => handle(dependencies(), request), onAnswer);
  return [
    { method: 'POST' as const, path: '/v1/leases', handler: route(issue) },
    { method: 'POST' as const, path: '/v1/leases/batch', handler: route(issueBatch) },
    { method: 'POST' as const, path: '/v1/leases/renew', handler: route(renew) },
    { method: 'POST' as const, path: '/v1/leases/revoke', handler: route(revoke) },
    { method: 'GET' as const, path: '/v1/secrets/{proxy+}', handler: route(read) },
  ];
}

async function read(deps: FetchDependencies, request: HttpRequest): Promise<HttpAnswer> {
  const path = request.parameters.proxy ?? '';
  const access: Access = { action: 'read', path, requestId: request.requestId };
  // Before the caller is looked up: a path that is refused in any case costs Vault nothing.
  const proof = () => {
    checkPath(path);
    return proofIn(request);
  };
  const secret = await accessAs(deps, access, identityOf(deps.callers, proof), async (caller) => {
    const found = await readSecret(deps, caller, path, queryOf(readQuery, request).generation);
    access.vaultRequestId = found.vaultRequestId;
    return found;
  });
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
