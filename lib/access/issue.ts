import * as z from 'zod';
import { leaseEntryOf, tokenEntryOf } from '../leases/adopt.ts';
import { canBeKept, type LeasePolicy } from '../leases/decide.ts';
import type { LeaseEntry } from '../leases/entry.ts';
import { Secret } from '../telemetry/secret.ts';
import { isPlainPath, joinPath, namespaceOfLease, PLAIN_PATH_JSON } from '../vault/addressing.ts';
import type { Vault } from '../vault/client.ts';
import { isVaultError } from '../vault/errors.ts';
import { Leases } from '../vault/leases.ts';
import { type DynamicSecret, issueDynamic } from '../vault/secrets.ts';
import { type WrappedSecret, wrap } from '../vault/wrapping.ts';
import type { Caller } from './callers.ts';
import { isFrom, leaseIdSchema, type OwnLeaseDependencies, ownLease } from './own-lease.ts';
import { RequestError } from './problem.ts';
import type { ReadDependencies } from './read.ts';

export const issueRequestSchema = z.strictObject({
  /** The leased path after VAULT_NAMESPACE: `database/creds/api-gateway`. */
  path: z
    .string()
    .refine(isPlainPath, 'expected a plain path such as database/creds/api-gateway')
    .meta({ ...PLAIN_PATH_JSON, examples: ['database/creds/api-gateway'] }),
  /** Seconds that it is needed. Renewals end once they reach that; without it, at the max TTL. */
  ttl: z.number().int().min(1).max(31_536_000).optional(),
  /** Seconds within which the wrapping token that is answered in place of the data must be opened. */
  wrap_ttl: z.number().int().min(1).max(86_400).optional(),
  /** A lease of the caller's own that this one replaces: it is revoked after the grace. */
  replaces: leaseIdSchema.optional(),
});
export type IssueRequest = z.infer<typeof issueRequestSchema>;

export interface IssueDependencies extends OwnLeaseDependencies {
  /** Acting as `fetch`, which may put leases under care and revoke them, and read no secret. */
  readonly vault: Vault;
  readonly policy: LeasePolicy;
  readonly authNamespace: string;
  /** Milliseconds between a lease's replacement and its revocation. */
  readonly replaceGraceMs: number;
  readonly now: () => number;
}

/** What a caller gets. Exactly one of `data` and `wrap` is there. */
export interface IssuedSecret {
  readonly leaseId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly ttlSeconds: number;
  readonly renewable: boolean;
  /** Whether Leasekeeper renews it. A TTL under three scan intervals cannot be kept. */
  readonly kept: boolean;
  readonly data?: Secret<Readonly<Record<string, unknown>>>;
  readonly wrap?: WrappedSecret;
  readonly vaultRequestId: string;
}

/**
 * Issues a short-lived secret as the caller, and puts its lease under care before it answers. A crash in between leaves a lease that
 * nobody renews: it ends at its first TTL. Throws VaultError, and RequestError `not_a_lease`, `wrap_ttl_too_long`, `not_your_lease`.
 */
export async function issueSecret(
  deps: IssueDependencies,
  caller: Caller,
  request: IssueRequest,
): Promise<IssuedSecret> {
  const replaced =
    request.replaces === undefined
      ? undefined
      : await replacedLease(deps, caller, request.replaces, request.path);
  const path = joinPath(deps.namespace, request.path);
  // Its life is counted from before it was asked for: whoever freezes before the answer must not think it younger.
  const asked = deps.now();
  const issued = await issueDynamic(caller.vault, path);
  if (issued.leaseId === '') throw notALease(request.path);
  try {
    return await deliver(deps, caller, request, path, issued, replaced, asked);
  } catch (error) {
    await withdraw(deps, issued.leaseId);
    throw error;
  }
}

/** The caller never gets it, so it must not live on. Should this fail too, it ends at its first TTL. */
async function withdraw(deps: IssueDependencies, leaseId: string): Promise<void> {
  // It may be in the agenda all the same, when only the answer was lost: nobody is to hear of a lost lease that nobody had.
  await deps.book.remove(leaseId).catch(() => {});
  await leasesOf(deps, leaseId)
    .revoke(leaseId)
    .catch(() => {});
}

/**
 * KV v2 knows no secret under its plain path, so Vault calls a static secret not found. Gives `not_a_lease` instead of such an error, and
 * any other error as it is.
 */
export async function explained(
  error: unknown,
  deps: ReadDependencies,
  caller: Caller,
  path: string,
): Promise<unknown> {
  if (!isVaultError(error, 'vault_not_found')) return error;
  const found = deps.mountsOf(caller).find(joinPath(deps.namespace, path));
  const mount = await found.catch(() => undefined);
  return mount?.kvVersion === undefined ? error : notALease(path);
}

async function deliver(
  deps: IssueDependencies,
  caller: Caller,
  request: IssueRequest,
  path: string,
  issued: DynamicSecret,
  replaced: LeaseEntry | undefined,
  asked: number,
): Promise<IssuedSecret> {
  const now = deps.now();
  const kept = canBeKept(issued.leaseDurationSeconds, deps.policy);
  const wrapped =
    request.wrap_ttl === undefined ? undefined : await wrapFor(deps, caller, issued, request.wrap_ttl);
  if (kept) await putUnderCare(deps, caller, request, path, issued, wrapped, asked);
  if (replaced !== undefined) {
    // Only `retire_at` of this message counts: the entry that is there wins in all else.
    await deps.book.add({
      ...replaced,
      retire_at: now + deps.replaceGraceMs,
      due: now + deps.replaceGraceMs,
    });
  }
  return {
    leaseId: issued.leaseId,
    expiresAt: asked + issued.leaseDurationSeconds * 1_000,
    ttlSeconds: issued.leaseDurationSeconds,
    renewable: issued.renewable,
    kept,
    ...(wrapped === undefined ? { data: new Secret(issued.data) } : { wrap: wrapped }),
    vaultRequestId: issued.requestId,
  };
}

async function putUnderCare(
  deps: IssueDependencies,
  caller: Caller,
  request: IssueRequest,
  path: string,
  issued: DynamicSecret,
  wrapped: WrappedSecret | undefined,
  asked: number,
): Promise<void> {
  const now = deps.now();
  const held = await caller.vault.held();
  const lease = leaseEntryOf(
    {
      leaseId: issued.leaseId,
      namespace: namespaceOfLease(issued.leaseId, deps.namespace, deps.authNamespace),
      path,
      consumer: caller.name,
      ttlSeconds: issued.leaseDurationSeconds,
      renewable: issued.renewable,
      ...(caller.mount === undefined ? {} : { mount: caller.mount }),
      // A batch token has none. Its leases end with it.
      ...(held.accessor === '' ? {} : { parent: held.accessor }),
      ...(request.ttl === undefined ? {} : { until: now + request.ttl * 1_000 }),
      ...(wrapped === undefined || request.wrap_ttl === undefined
        ? {}
        : { wrap: { accessor: wrapped.accessor, expire: now + request.wrap_ttl * 1_000 } }),
    },
    asked,
    deps.policy,
  );
  const additions = [deps.book.add(lease)];
  if (Number.isFinite(held.expiresAt) && held.accessor !== '') {
    const parent = { ...held, namespace: deps.authNamespace };
    additions.push(deps.book.add(tokenEntryOf(parent, now, deps.policy)));
  }
  // Both have ended before a failure is told: a message that is still being tried would come after the lease was withdrawn.
  const ends = await Promise.allSettled(additions);
  const failure = ends.find((end) => end.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

/**
 * The wrapping token outlives what was asked for by a few scans, so that the last of them can still tell whether it was opened in time
 * (renew.ts, `lookForOpening`). Until then nobody renews the lease, so its first TTL must be longer.
 */
async function wrapFor(
  deps: IssueDependencies,
  caller: Caller,
  issued: DynamicSecret,
  wrapTtlSeconds: number,
): Promise<WrappedSecret> {
  const lifeSeconds = wrapTtlSeconds + Math.ceil((3 * deps.policy.scanIntervalMs) / 1_000);
  if (lifeSeconds >= issued.leaseDurationSeconds * (2 / 3)) {
    throw new RequestError(
      422,
      'wrap_ttl_too_long',
      `A secret with a TTL of ${issued.leaseDurationSeconds} s cannot be wrapped for ${wrapTtlSeconds} s.`,
      'Ask for a shorter wrap_ttl: the lease is not renewed before it is opened.',
    );
  }
  const content = {
    data: issued.data,
    lease_id: issued.leaseId,
    lease_duration: issued.leaseDurationSeconds,
  };
  return wrap(caller.vault, deps.authNamespace, content, lifeSeconds);
}

/** The lease to be replaced: the caller's own, from the same path. */
async function replacedLease(
  deps: IssueDependencies,
  caller: Caller,
  leaseId: string,
  path: string,
): Promise<LeaseEntry> {
  const entry = await ownLease(deps, caller, leaseId);
  if (entry !== undefined && isFrom(entry, deps, path)) return entry;
  throw new RequestError(
    409,
    'not_your_lease',
    'The lease to be replaced is not under care for this caller and path.',
    'Leave `replaces` out if it has ended already.',
  );
}

function notALease(path: string): RequestError {
  return new RequestError(
    422,
    'not_a_lease',
    `What ${path} answers has no lease.`,
    'Read it with GET /v1/secrets/{path} if it is a static secret.',
  );
}

function leasesOf(deps: IssueDependencies, leaseId: string): Leases {
  return new Leases(deps.vault, namespaceOfLease(leaseId, deps.namespace, deps.authNamespace));
}
