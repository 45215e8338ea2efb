import * as z from 'zod';
import { joinPath } from '../../vault/addressing.ts';
import { isVaultError } from '../../vault/errors.ts';
import { readStatic } from '../../vault/secrets.ts';
import { type StaticRole, StaticRoles } from '../../vault/static-roles.ts';
import type { ProbeResult } from '../probes/probe-result.ts';
import type { RotatorDependencies } from './kind.ts';
import type { Ended, Handle, Value } from './rotator.ts';
import { holds, type UserTaken } from './static-role-choice.ts';
import { StaticRoleError } from './static-role-error.ts';

/** The password of one static role, as one generation has it: set, read, looked at and ended. */

export const staticHandleSchema = z.object({
  mount: z.string(),
  role: z.string(),
  username: z.string(),
  /** When Vault set the password that is published, in milliseconds since the epoch. Absent: it is not set yet. */
  rotated_at: z.number().optional(),
});
export type StaticHandle = z.infer<typeof staticHandleSchema>;

/** Longer than an answer takes: what was read before a sleep is not acted upon. */
const LATEST_ANSWER_MS = 60_000;
/** Vault tries a failed rotation again after 10 s. Ours must not run into it: see `StaticRoles.rotate`. */
const OUT_OF_VAULTS_WAY_MS = 60_000;

export function rolesAt(deps: RotatorDependencies, mount: string): StaticRoles {
  return new StaticRoles(deps.vault, joinPath(deps.namespace, mount));
}

/** The database user that a generation takes. */
export function takenBy({ username, rotated_at }: StaticHandle): UserTaken {
  return { username, rotatedAt: rotated_at };
}

/**
 * Sets a new password. Nobody uses the role, so a second entry may set another. What Vault or a late worker does to the role after this is
 * found by `testUnchanged` or `inspectPassword`. Throws `static_role_rotation_failed`, `static_role_unknown`.
 */
export async function changePassword(
  deps: RotatorDependencies,
  assertClaimed: () => void,
  stored: Handle,
): Promise<Handle> {
  const handle = staticHandleSchema.parse(stored);
  const roles = rolesAt(deps, handle.mount);
  assertClaimed();
  await rotate(roles, handle.role);
  const there = await roles.read(handle.role);
  if (there === undefined) {
    throw new StaticRoleError('static_role_unknown', `There is no static role ${handle.role} any more.`);
  }
  return { ...handle, username: there.username, rotated_at: there.rotatedAt };
}

export async function readValue(deps: RotatorDependencies, handle: Handle): Promise<Value> {
  const { mount, role } = staticHandleSchema.parse(handle);
  const { username, password } = await rolesAt(deps, mount).credentials(role);
  return { username, password };
}

/** Called after the value was read: what was read is the password that the handle is for. */
export async function testUnchanged(deps: RotatorDependencies, stored: Handle): Promise<ProbeResult> {
  const handle = staticHandleSchema.parse(stored);
  const there = await rolesAt(deps, handle.mount).read(handle.role);
  return there !== undefined && holds(takenBy(handle), there)
    ? { ok: true }
    : { ok: false, code: 'static_role_rotated', refused: false };
}

/**
 * Changes the password that was published, unless that has been done already: the role may be that of a later generation by now. Throws
 * `static_role_gone` when Vault cannot change it any more.
 */
export async function endPassword(deps: RotatorDependencies, ended: Ended): Promise<void> {
  const handle = staticHandleSchema.parse(ended.handle);
  // Nobody has ever got the password of a generation that was given up.
  if (ended.published === undefined) return;
  const roles = rolesAt(deps, handle.mount);
  const asked = deps.now();
  const there = await roles.read(handle.role);
  if (there === undefined) throw gone(handle);
  if (!(await isStillOf(deps, handle, there, () => readPublished(deps, ended)))) return;
  if (deps.now() - asked > LATEST_ANSWER_MS) {
    throw new StaticRoleError(
      'static_role_answer_late',
      `What Vault said of ${handle.role} may be out of date.`,
    );
  }
  await rotate(roles, handle.role);
}

/** What has become of the current generation's password, as a word for `secret.drift`. */
export async function inspectPassword(
  deps: RotatorDependencies,
  current: Ended,
  published: () => Promise<Value | undefined>,
): Promise<string | undefined> {
  const handle = staticHandleSchema.parse(current.handle);
  const there = await rolesAt(deps, handle.mount).read(handle.role);
  if (there === undefined) return 'role_deleted';
  return (await isStillOf(deps, handle, there, published)) ? undefined : 'password_rotated';
}

/**
 * Whether the password that Vault has now is the one that was published. The times tell it, save where Vault changed the password between
 * the test and the publication, which then took the later one: only the value itself tells that.
 */
async function isStillOf(
  deps: RotatorDependencies,
  handle: StaticHandle,
  there: StaticRole,
  published: () => Promise<Value | undefined>,
): Promise<boolean> {
  if (holds(takenBy(handle), there)) return true;
  const value = await published();
  if (value === undefined || there.username !== handle.username) return false;
  return value.password === (await rolesAt(deps, handle.mount).credentials(handle.role)).password;
}

/** Undefined when the version is no longer kept, or the secret is published elsewhere by now. */
async function readPublished(deps: RotatorDependencies, { published }: Ended): Promise<Value | undefined> {
  if (published === undefined) return undefined;
  const { path, version } = published;
  try {
    return (await readStatic(deps.vault, deps.mounts, joinPath(deps.namespace, path), { version })).data;
  } catch (error) {
    if (isVaultError(error, 'vault_not_found', 'vault_denied')) return undefined;
    throw error;
  }
}

async function rotate(roles: StaticRoles, role: string): Promise<void> {
  try {
    await roles.rotate(role);
  } catch (cause) {
    if (!isVaultError(cause, 'vault_unavailable', 'vault_timeout')) throw cause;
    throw new StaticRoleError(
      'static_role_rotation_failed',
      `Vault could not change the password of ${role}.`,
      {
        cause,
        retryAfterMs: OUT_OF_VAULTS_WAY_MS,
      },
    );
  }
}

function gone({ role, username }: StaticHandle): StaticRoleError {
  return new StaticRoleError(
    'static_role_gone',
    `The static role ${role} is no longer in Vault; the last password of ${username} may still work.`,
  );
}
