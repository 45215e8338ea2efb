import * as z from 'zod';
import { joinPath } from '../../vault/addressing.ts';
import type { StaticRole } from '../../vault/static-roles.ts';
import { pathSchema, publishedFields, segmentSchema } from '../specification-fields.ts';
import { type RotatorDependencies, rotatorKind } from './kind.ts';
import type { Attempt, Created, Handle } from './rotator.ts';
import { chooseRole, type UserTaken } from './static-role-choice.ts';
import { StaticRoleError } from './static-role-error.ts';
import {
  changePassword,
  endPassword,
  inspectPassword,
  readValue,
  rolesAt,
  staticHandleSchema,
  takenBy,
  testUnchanged,
} from './static-role-password.ts';

const schema = z
  .strictObject({
    kind: z.literal('database-static'),
    ...publishedFields,
    /** The database engine, after VAULT_NAMESPACE. */
    mount: pathSchema,
    /** Static roles used in turn, each with a database user of its own. Two are enough where a grace ends before the next rotation. */
    roles: z
      .array(segmentSchema)
      .min(2, 'expected at least two roles, to be used in turn')
      .max(5)
      .refine((roles) => new Set(roles).size === roles.length, 'expected each role once'),
  })
  .refine(
    ({ schedule, roles, grace }) =>
      schedule === undefined || !('every' in schedule) || schedule.every * (roles.length - 1) > grace,
    {
      path: ['roles'],
      message:
        'expected more roles, a shorter grace or rarer rotations: each role would still be in its grace',
    },
  );

type Specification = z.infer<typeof schema>;

/**
 * Static roles used in turn: the password of the one that nobody uses is changed and published, while that of the current generation goes
 * on working. Vault keeps the passwords, so none is kept here on the way.
 */
export const databaseStatic = rotatorKind({
  schema,
  begins: 'at_once',
  rights: ({ mount, roles }) => ({
    rotate: roles.flatMap((role) => [
      { path: joinPath(mount, 'static-roles', role), under: 'namespace', capabilities: ['read'] },
      { path: joinPath(mount, 'static-creds', role), under: 'namespace', capabilities: ['read'] },
      { path: joinPath(mount, 'rotate-role', role), under: 'namespace', capabilities: ['update'] },
    ]),
  }),
  open: (deps) => ({
    create: (attempt) => choose(deps, attempt),
    apply: ({ assertClaimed }, handle) => changePassword(deps, assertClaimed, handle),
    value: (_attempt, handle) => readValue(deps, handle),
    test: (_attempt, handle) => testUnchanged(deps, handle),
    revoke: (ended) => endPassword(deps, ended),
    inspect: (_spec, current, published) => inspectPassword(deps, current, published),
  }),
});

/** Changes nothing yet. Throws `static_role_unknown`, `static_role_in_grace`, `static_roles_share_user`. */
async function choose(
  deps: RotatorDependencies,
  { spec, current, retiring, urgent }: Attempt<Specification>,
): Promise<Created> {
  const there = await rolesThere(deps, spec);
  const [currentUser] = takenIn(spec.mount, current === undefined ? [] : [current]);
  const chosen = chooseRole(there, {
    current: currentUser,
    retiring: takenIn(spec.mount, retiring),
    urgent,
  });
  if (chosen === undefined) throw noneFree(spec, there);
  const { role, username, periodMs } = chosen;
  const handle: Handle = { mount: spec.mount, role, username };
  // Vault changes it by itself then, and nobody is told: it must be replaced before.
  return periodMs === undefined ? { handle } : { handle, endsAt: deps.now() + periodMs, ttlMs: periodMs };
}

type RoleThere = StaticRole & { readonly role: string };

async function rolesThere(deps: RotatorDependencies, spec: Specification): Promise<readonly RoleThere[]> {
  const roles = rolesAt(deps, spec.mount);
  const read = await Promise.all(
    spec.roles.map(async (role): Promise<RoleThere[]> => {
      const there = await roles.read(role);
      return there === undefined ? [] : [{ ...there, role }];
    }),
  );
  const there = read.flat();
  if (new Set(there.map(({ username }) => username)).size < there.length) {
    const names = there.map(({ role }) => role).join(', ');
    throw new StaticRoleError(
      'static_roles_share_user',
      `Some of the static roles ${names} have the same user.`,
    );
  }
  return there;
}

/** Handles of another kind, and of roles elsewhere, take none of these. */
function takenIn(mount: string, handles: readonly Handle[]): readonly UserTaken[] {
  return handles.flatMap((stored): UserTaken[] => {
    const { data } = staticHandleSchema.safeParse(stored);
    return data?.mount === mount ? [takenBy(data)] : [];
  });
}

function noneFree({ mount, roles }: Specification, there: readonly RoleThere[]): StaticRoleError {
  const missing = roles.filter((role) => !there.some((one) => one.role === role));
  if (missing.length === 0) {
    return new StaticRoleError(
      'static_role_in_grace',
      `Each of the static roles ${roles.join(', ')} is that of a generation still in use.`,
    );
  }
  return new StaticRoleError(
    'static_role_unknown',
    `There is no static role ${missing.join(', ')} at ${mount}.`,
  );
}
