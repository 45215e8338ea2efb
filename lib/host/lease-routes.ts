import pLimit from 'p-limit';
import { type Access, accessAs, type Identity, identityOf } from '../access/audited-access.ts';
import type { Caller } from '../access/callers.ts';
import {
  explained,
  type IssuedSecret,
  type IssueRequest,
  issueRequestSchema,
  issueSecret,
} from '../access/issue.ts';
import { callersPath, ownLease, unknownLease } from '../access/own-lease.ts';
import { type Problem, problemOf } from '../access/problem.ts';
import { renewLease, renewRequestSchema } from '../access/renew-lease.ts';
import { revokeLease, revokeRequestSchema } from '../access/revoke-lease.ts';
import type { LeaseEntry } from '../leases/entry.ts';
import type { HttpAnswer, HttpRequest } from './http-function.ts';
import { bodyOf } from './json-body.ts';
import { proofIn } from './request-proof.ts';
import { batchBody } from './route-inputs.ts';
import type { FetchDependencies } from './wire.ts';

/** The routes of `fetch` for leases. */

/** Of one batch; Vault and the engine behind it have other callers too. */
const ISSUED_AT_ONCE = 4;

export async function issue(deps: FetchDependencies, request: HttpRequest): Promise<HttpAnswer> {
  const asked = bodyOf(issueRequestSchema, request);
  const identity = identityOf(deps.callers, () => proofIn(request));
  return { status: 201, body: await issueOne(deps, request, identity, asked) };
}

/**
 * Several at once, each as if it had been asked for alone, with an audit line of its own: one that fails undoes none of the others. The
 * caller is looked up once, and if that fails so does the whole.
 */
export async function issueBatch(deps: FetchDependencies, request: HttpRequest): Promise<HttpAnswer> {
  const { requests } = bodyOf(batchBody, request);
  const identity = identityOf(deps.callers, () => proofIn(request), requests.length);
  const limit = pLimit(ISSUED_AT_ONCE);
  const results = await Promise.all(
    requests.map((asked) =>
      limit(async () => {
        try {
          return { status: 201, lease: await issueOne(deps, request, identity, asked) };
        } catch (error) {
          return failed(deps, problemOf(error), error, request);
        }
      }),
    ),
  );
  // Throws what every one of them has met.
  await identity.caller();
  return { status: 200, body: { results } };
}

function failed(
  { logger }: FetchDependencies,
  { retryAfterSeconds, allow: _, ...problem }: Problem,
  error: unknown,
  { requestId }: HttpRequest,
) {
  const { status } = problem;
  if (status >= 500) logger.error({ err: error, request_id: requestId, status }, 'request of a batch failed');
  const wait = retryAfterSeconds === undefined ? {} : { retry_after: retryAfterSeconds };
  return { status, problem: { ...problem, ...wait, request_id: requestId } };
}

export async function renew(deps: FetchDependencies, request: HttpRequest): Promise<HttpAnswer> {
  const { lease_id, increment } = bodyOf(renewRequestSchema, request);
  const renewed = await withOwnLease(deps, request, 'renew', lease_id, (caller, entry) =>
    renewLease(deps, caller, entry, increment),
  );
  return {
    status: 200,
    body: {
      lease_id,
      expires_at: new Date(renewed.expiresAt).toISOString(),
      lease_duration: renewed.ttlSeconds,
      renewable: renewed.renewable,
    },
  };
}

export async function revoke(deps: FetchDependencies, request: HttpRequest): Promise<HttpAnswer> {
  const { lease_id } = bodyOf(revokeRequestSchema, request);
  await withOwnLease(deps, request, 'revoke', lease_id, (_, entry) => revokeLease(deps, entry));
  return { status: 204 };
}

function issueOne(
  deps: FetchDependencies,
  { requestId }: HttpRequest,
  identity: Identity,
  asked: IssueRequest,
) {
  const access: Access = { action: 'issue', path: asked.path, requestId };
  return accessAs(deps, access, identity, async (caller) => {
    const issued = await issueSecret(deps, caller, asked).catch(async (error: unknown) => {
      throw await explained(error, deps, caller, asked.path);
    });
    access.leaseId = issued.leaseId;
    access.vaultRequestId = issued.vaultRequestId;
    return issuedBody(issued);
  });
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

/** Throws `lease_not_under_care` for a lease that is not known as the caller's own. */
async function withOwnLease<T>(
  deps: FetchDependencies,
  request: HttpRequest,
  action: 'renew' | 'revoke',
  leaseId: string,
  work: (caller: Caller, entry: LeaseEntry) => Promise<T>,
): Promise<T> {
  const { path, requestId } = request;
  const access: Access = { action, path, leaseId, requestId };
  const identity = identityOf(deps.callers, () => proofIn(request));
  return accessAs(deps, access, identity, async (caller) => {
    const entry = await ownLease(deps, caller, leaseId);
    if (entry === undefined) throw unknownLease();
    access.path = callersPath(entry, deps);
    return work(caller, entry);
  });
}
