import { inject } from 'vitest';
import { testPostgresLogin } from '../../lib/rotation/probes/postgres.ts';
import type { Value } from '../../lib/rotation/rotators/rotator.ts';
import type { SpecificationInput } from '../../lib/rotation/specification.ts';
import { joinPath } from '../../lib/vault/addressing.ts';
import { StaticRoles } from '../../lib/vault/static-roles.ts';
import { adminOf } from '../support/admin.ts';
import { withPostgres } from '../support/postgres.ts';
import type { World } from '../support/world.ts';
import type { KindCase, PreparedKind } from './kind-case.ts';

type StaticInput = Extract<SpecificationInput, { kind: 'database-static' }>;

export interface StaticOptions {
  readonly roles?: number;
  /** Of the static roles, as Vault takes it. */
  readonly period?: string;
  /** The connection in Vault; default: the world's own. */
  readonly connection?: string;
}

export interface PreparedStatic extends PreparedKind {
  readonly roles: StaticRoles;
  /** Users in PostgreSQL and static roles in Vault, `<name>-a`, `<name>-b`… Gives the names of the roles. */
  makeRoles(name: string, options?: StaticOptions): Promise<readonly string[]>;
  /** The specification of a secret on such roles. */
  specification(name: string, changes?: Partial<StaticInput>): StaticInput;
  logsIn(value: Value): Promise<boolean>;
}

/** Static roles in the world's own database engine: two for each secret, with users of their own. */
export async function prepareStatic(world: World): Promise<PreparedStatic> {
  const { request } = adminOf(world);
  const mount = joinPath(world.namespace, 'database');
  const roles = new StaticRoles(world.vault, mount);
  const made = new Map<string, readonly string[]>();
  const users: string[] = [];
  const logsIn = async (value: Value) =>
    (await testPostgresLogin({ ...world.postgres, tls: false }, value)).ok;

  const makeRoles = async (name: string, options: StaticOptions = {}) => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const names = ['a', 'b', 'c'].slice(0, options.roles ?? 2).map((letter) => `${name}-${letter}`);
    made.set(name, names);
    for (const role of names) {
      const username = `${world.rolePrefix}-${role}`;
      users.push(username);
      await withPostgres(inject, (client) => client.query(`CREATE ROLE "${username}" LOGIN`));
      await request('POST', `${mount}/static-roles/${role}`, {
        db_name: options.connection ?? 'pg',
        username,
        rotation_period: options.period ?? '8760h',
      });
    }
    return names;
  };

  const specification = (name: string, changes: Partial<StaticInput> = {}): StaticInput => ({
    kind: 'database-static',
    name,
    mount: 'database',
    roles: [...(made.get(name) ?? [])],
    publish: `app/${name}`,
    grace: '0s',
    deadline: '0s',
    test: { kind: 'postgres', ...world.postgres, tls: false },
    ...changes,
  });

  return {
    roles,
    makeRoles,
    specification,
    logsIn,
    specify: async (name) => {
      await makeRoles(name);
      return specification(name);
    },
    works: async (_name, value) => logsIn(value ?? {}),
    // The users stay; what ends is the password, which `works` tells.
    live: async () => [],
    disturb: async (_name, { role }) => {
      await roles.rotate(String(role));
      return 'password_rotated';
    },
    close: async () => {
      for (const role of [...made.values()].flat()) await request('DELETE', `${mount}/static-roles/${role}`);
      await withPostgres(inject, async (client) => {
        for (const user of users) await client.query(`DROP ROLE IF EXISTS "${user}"`);
      });
    },
  };
}

export const databaseStaticCase: KindCase = {
  kind: 'database-static',
  overlaps: true,
  ends: true,
  prepare: prepareStatic,
};
