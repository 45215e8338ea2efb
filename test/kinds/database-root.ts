import { inject } from 'vitest';
import * as z from 'zod';
import { testPostgresLogin } from '../../lib/rotation/probes/postgres.ts';
import { joinPath } from '../../lib/vault/addressing.ts';
import { AdminError, adminOf } from '../support/admin.ts';
import { withPostgres } from '../support/postgres.ts';
import type { World } from '../support/world.ts';
import type { KindCase, PreparedKind } from './kind-case.ts';

const FIRST_PASSWORD = 'before-the-first-rotation';
const leasedSchema = z.object({ lease_id: z.string() });

export interface PreparedRoot extends PreparedKind {
  /** The PostgreSQL user that Vault logs in as for a secret. */
  userOf(name: string): string;
  /** Whether the password that a person once gave Vault still works. */
  firstPasswordWorks(name: string): Promise<boolean>;
}

/** For each secret a connection with a PostgreSQL user of its own, which may create others, and a role that uses it. */
export async function prepareRoot(world: World): Promise<PreparedRoot> {
  const { request, read } = adminOf(world);
  const mount = joinPath(world.namespace, 'database');
  const made = new Set<string>();
  const userOf = (name: string) => `${world.rolePrefix}-${name}-root`;

  const makeConnection = async (name: string) => {
    if (made.has(name)) return;
    made.add(name);
    const { host, port, database } = world.postgres;
    await withPostgres(inject, (client) =>
      client.query(`CREATE ROLE "${userOf(name)}" LOGIN CREATEROLE PASSWORD '${FIRST_PASSWORD}'`),
    );
    await request('POST', `${mount}/config/${name}`, {
      plugin_name: 'postgresql-database-plugin',
      allowed_roles: name,
      connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}`,
      username: userOf(name),
      password: FIRST_PASSWORD,
      username_template: `${world.rolePrefix}-{{random 16}}`,
      max_open_connections: 1,
    });
    await request('POST', `${mount}/roles/${name}`, {
      db_name: name,
      creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
      revocation_statements: `DROP ROLE IF EXISTS "{{name}}"`,
    });
  };

  /** Has Vault make a user with the connection, and end it. */
  const works = async (name: string) => {
    try {
      const { lease_id } = await read(leasedSchema, 'GET', `${mount}/creds/${name}`);
      await request('PUT', 'sys/leases/revoke', { lease_id, sync: true });
      return true;
    } catch (error) {
      if (error instanceof AdminError) return false;
      throw error;
    }
  };

  return {
    userOf,
    specify: async (name) => {
      await makeConnection(name);
      return { kind: 'database-root', name, mount: 'database', connection: name };
    },
    works,
    firstPasswordWorks: async (name) => {
      const login = { username: userOf(name), password: FIRST_PASSWORD };
      return (await testPostgresLogin({ ...world.postgres, tls: false }, login)).ok;
    },
    live: async () => [],
    close: async () => {
      // Closes Vault's own sessions too.
      for (const name of made) await request('DELETE', `${mount}/config/${name}`);
      await withPostgres(inject, async (client) => {
        for (const name of made) await client.query(`DROP ROLE IF EXISTS "${userOf(name)}"`);
      });
    },
  };
}

export const databaseRootCase: KindCase = {
  kind: 'database-root',
  overlaps: false,
  ends: false,
  prepare: prepareRoot,
};
