import { inject } from 'vitest';
import type { SpecificationInput } from '../../lib/rotation/specification.ts';
import { admin, uniqueName } from './admin.ts';
import { openWorld, type WorldDescription } from './open-world.ts';
import { withPostgres } from './postgres.ts';

export { type OpenOptions, openWorld, TEST_POLICY, type World, type WorldDescription } from './open-world.ts';

export interface WorldOptions {
  /** `prefix`: mounts named `<namespace>/database`; `namespace`: a real namespace. */
  readonly layout?: 'prefix' | 'namespace';
  readonly leaseTtl?: string;
  readonly leaseMaxTtl?: string;
  readonly shards?: number;
}

/** Mounts, roles and books of one test file, on the shared servers. */
export async function createWorld(options: WorldOptions = {}): Promise<WorldDescription> {
  const { request, address, rootToken } = admin(inject);
  const postgres = inject('postgres');
  const namespace = uniqueName('ns');
  const stateMount = uniqueName('state');
  const rolePrefix = uniqueName('v');
  const real = options.layout === 'namespace';
  if (real) await request('POST', `sys/namespaces/${namespace}`, {});
  const within = real ? `${namespace}/` : '';
  const mountAt = (name: string) =>
    real ? `${namespace}/sys/mounts/${name}` : `sys/mounts/${namespace}/${name}`;
  await request('POST', mountAt('app'), { type: 'kv', options: { version: '2' } });
  await request('POST', mountAt('database'), { type: 'database' });
  await request('POST', `sys/mounts/${stateMount}`, { type: 'kv', options: { version: '2' } });
  await request('POST', `${stateMount}/config`, { cas_required: true, max_versions: 2 });
  await request('POST', `${namespace}/database/config/pg`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${postgres.host}:${postgres.port}/${postgres.database}`,
    username: postgres.user,
    password: postgres.password,
    username_template: `${rolePrefix}-{{random 16}}`,
    max_open_connections: 4,
  });
  await request('POST', `${namespace}/database/roles/app`, {
    db_name: 'pg',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
    revocation_statements: `DROP ROLE IF EXISTS "{{name}}"`,
    default_ttl: options.leaseTtl ?? '1h',
    max_ttl: options.leaseMaxTtl ?? '24h',
  });
  const attemptPolicy = uniqueName('attempt');
  await request('PUT', `${within}sys/policies/acl/${attemptPolicy}`, {
    policy: `path "${real ? '' : `${namespace}/`}database/creds/app" { capabilities = ["read"] }`,
  });
  await request('POST', `${within}auth/token/roles/leasekeeper-${namespace}`, {
    orphan: true,
    allowed_policies: [attemptPolicy],
    token_no_default_policy: true,
    renewable: true,
  });
  const world = {
    address,
    rootToken,
    namespace,
    stateMount,
    rolePrefix,
    postgres: { host: postgres.host, port: postgres.port, database: postgres.database },
  };
  const opened = openWorld(world);
  await opened.leases.create(options.shards ?? 2);
  await opened.rotations.create(1);
  await opened.deliveries.create(1);
  await opened.close();
  return world;
}

type LeaseInput = Extract<SpecificationInput, { kind: 'lease' }>;

/** A specification of kind `lease` that works in a world. */
export function leaseSpecification(world: WorldDescription, changes: Partial<LeaseInput> = {}): LeaseInput {
  return {
    kind: 'lease',
    name: 'app-database',
    source: 'database/creds/app',
    publish: 'app/database',
    token_role: `leasekeeper-${world.namespace}`,
    grace: '10s',
    deadline: '60s',
    test: { kind: 'postgres', ...world.postgres, tls: false },
    ...changes,
  };
}

/** The PostgreSQL roles that Vault made in this world and that are still there. */
export async function liveRoles(world: WorldDescription): Promise<readonly string[]> {
  return withPostgres(inject, async (client) => {
    const { rows } = await client.query<{ rolname: string }>(
      'SELECT rolname FROM pg_roles WHERE rolname LIKE $1',
      [`${world.rolePrefix}-%`],
    );
    return rows.map(({ rolname }) => rolname).sort();
  });
}
