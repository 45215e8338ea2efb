import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';
import { AppRoleSecretIds } from '../../vault/approle-secret-ids.ts';
import { loginAt } from '../../vault/auth/login.ts';
import { isVaultError } from '../../vault/errors.ts';
import { Tokens } from '../../vault/tokens.ts';
import { durationSchema } from '../duration.ts';
import type { ProbeResult } from '../probes/probe-result.ts';
import { pathSchema, publishedFields, segmentSchema } from '../specification-fields.ts';
import { type Right, type RotatorDependencies, rotatorKind } from './kind.ts';
import type { Attempt, Created, Handle, Value } from './rotator.ts';

const schema = z.strictObject({
  kind: z.literal('approle-secret-id'),
  ...publishedFields,
  role: segmentSchema,
  /** The AppRole auth method, under VAULT_AUTH_NAMESPACE, without `auth/`. */
  mount: pathSchema.default('approle'),
  /** How long a secret id lives; as long as the role says when left out. Not longer than that. */
  ttl: durationSchema.pipe(z.number().min(1_000, 'expected at least 1s')).optional(),
  /** From where it may be used. */
  cidr_list: z
    .array(z.union([z.cidrv4(), z.cidrv6()]))
    .min(1)
    .optional(),
  /** How often it may be used. */
  num_uses: z.int().min(1).optional(),
  /** Whether each new one is tried by logging in. Not for a role whose own addresses leave rotate out. */
  try_login: z.boolean().default(true),
});
type Spec = z.infer<typeof schema>;

const intentSchema = z.object({
  auth_ns: z.string(),
  mount: z.string(),
  role: z.string(),
  attempt: z.string(),
});
const secretIdHandleSchema = z.object({
  auth_ns: z.string(),
  mount: z.string(),
  role: z.string(),
  accessor: z.string(),
  /** It can be used only so often. */
  limited: z.boolean(),
});
const credentialSchema = z.object({ role_id: z.string(), secret_id: z.string() });

/** In the metadata of a secret id: the attempt that made it. */
const ATTEMPT_KEY = 'leasekeeper';
const LOOKED_UP_AT_ONCE = 8;
/** Each is looked up: a role that hands out one for each job of a build system is not searched. */
const MOST_SEARCHED = 5_000;

/** What a service logs in to Vault with. */
export const approleSecretId = rotatorKind({
  schema,
  begins: 'at_once',
  rights: ({ mount, role }) => ({ rotate: rightsAt(`auth/${mount}/role/${role}`) }),
  open: (deps) => ({
    intent: ({ id, spec: { mount, role } }) => ({ auth_ns: deps.authNamespace, mount, role, attempt: id }),
    create: (attempt) => create(deps, attempt),
    test: ({ spec }, handle, value) => tryOut(deps, spec, handle, value),
    revoke: async ({ handle }) => {
      const { accessor, ...place } = secretIdHandleSchema.parse(handle);
      await secretIdsAt(deps, place).destroy(accessor);
    },
    reap: async (intent) => {
      const { attempt, ...place } = intentSchema.parse(intent);
      await reapSecretId(secretIdsAt(deps, place), attempt);
    },
    inspect: async (_spec, { handle }) => ((await isThere(deps, handle)) ? undefined : 'secret_id_destroyed'),
  }),
});

function rightsAt(role: string): readonly Right[] {
  return [
    { path: `${role}/role-id`, under: 'auth', capabilities: ['read'] },
    { path: `${role}/secret-id`, under: 'auth', capabilities: ['list', 'update'] },
    { path: `${role}/secret-id-accessor/lookup`, under: 'auth', capabilities: ['update'] },
    { path: `${role}/secret-id-accessor/destroy`, under: 'auth', capabilities: ['update'] },
  ];
}

async function create(deps: RotatorDependencies, { id, spec }: Attempt<Spec>): Promise<Created> {
  const { mount, role } = spec;
  const place = { auth_ns: deps.authNamespace, mount, role };
  const secretIds = secretIdsAt(deps, place);
  const roleId = await secretIds.roleId();
  if (roleId === undefined) throw roleMissing(mount, role);
  // Before the call, so that it is never taken to end later than it does.
  const from = deps.now();
  const issued = await secretIds.issue({
    metadata: { [ATTEMPT_KEY]: id },
    ttlSeconds: spec.ttl === undefined ? undefined : Math.ceil(spec.ttl / 1_000),
    cidrList: spec.cidr_list,
    numUses: spec.num_uses,
  });
  const ttlMs = issued.ttlSeconds * 1_000;
  return {
    handle: {
      ...place,
      accessor: issued.accessor,
      limited: issued.numUses > 0,
    } satisfies z.infer<typeof secretIdHandleSchema>,
    value: { role_id: roleId, secret_id: issued.secretId, secret_id_accessor: issued.accessor },
    ...(ttlMs > 0 ? { endsAt: from + ttlMs, ttlMs } : {}),
  };
}

/** By logging in, where that uses nothing up and rotate's address is let in; else it is only looked whether it is there. */
async function tryOut(
  deps: RotatorDependencies,
  { try_login, cidr_list }: Spec,
  handle: Handle,
  value: Value | undefined,
): Promise<ProbeResult> {
  const { auth_ns, mount, limited } = secretIdHandleSchema.parse(handle);
  if (try_login && !limited && cidr_list === undefined) return logIn(deps, auth_ns, mount, value);
  if (await isThere(deps, handle)) return { ok: true };
  return { ok: false, code: 'secret_id_destroyed', refused: true };
}

/** The token of the login is revoked at once. A worker that dies before leaves it to its own TTL; so does a batch token, always. */
async function logIn(
  deps: RotatorDependencies,
  namespace: string,
  mount: string,
  value: Value | undefined,
): Promise<ProbeResult> {
  const { role_id, secret_id } = credentialSchema.parse(value);
  let accessor: string;
  try {
    ({ accessor } = await loginAt(deps.client, namespace, mount, { role_id, secret_id }));
  } catch (error) {
    if (!isVaultError(error, 'vault_bad_request')) throw error;
    return { ok: false, code: 'test_login_refused', refused: true };
  }
  if (accessor !== '') await new Tokens(deps.vault, namespace).revokeAccessor(accessor);
  return { ok: true };
}

async function isThere(deps: RotatorDependencies, handle: Handle): Promise<boolean> {
  const { accessor, ...place } = secretIdHandleSchema.parse(handle);
  return (await secretIdsAt(deps, place).metadataOf(accessor)) !== undefined;
}

/**
 * Destroys the secret id that an attempt has made and not recorded. It made one at most. Vault can only list the accessors of a role, in
 * no order, so each is looked up until it is found. Throws `secret_ids_too_many`.
 */
export async function reapSecretId(
  secretIds: AppRoleSecretIds,
  attempt: string,
  most: number = MOST_SEARCHED,
): Promise<void> {
  const accessors = await secretIds.accessors();
  if (accessors.length > most) throw tooMany(accessors.length, attempt);
  for (let start = 0; start < accessors.length; start += LOOKED_UP_AT_ONCE) {
    const some = accessors.slice(start, start + LOOKED_UP_AT_ONCE);
    const metadata = await Promise.all(some.map((accessor) => secretIds.metadataOf(accessor)));
    const made = some.find((_, index) => metadata[index]?.[ATTEMPT_KEY] === attempt);
    if (made !== undefined) return secretIds.destroy(made);
  }
}

function secretIdsAt(
  { vault }: RotatorDependencies,
  { auth_ns, mount, role }: { readonly auth_ns: string; readonly mount: string; readonly role: string },
): AppRoleSecretIds {
  return new AppRoleSecretIds(vault, { namespace: auth_ns, mount, role });
}

function roleMissing(mount: string, role: string): LeasekeeperError {
  return new LeasekeeperError('approle_role_missing', `There is no role ${role} at auth/${mount}.`, {
    hint: 'Create the role, or check the mount and VAULT_AUTH_NAMESPACE.',
  });
}

function tooMany(count: number, attempt: string): LeasekeeperError {
  return new LeasekeeperError(
    'secret_ids_too_many',
    `The role has ${count} secret ids, too many to look for the one that the attempt ${attempt} may have left.`,
    {
      hint: `Destroy the one whose metadata hold ${ATTEMPT_KEY}=${attempt}, or have fewer: tidy up, and use a role of its own.`,
    },
  );
}
