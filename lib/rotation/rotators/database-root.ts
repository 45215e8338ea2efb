import * as z from 'zod';
import { joinPath } from '../../vault/addressing.ts';
import { DatabaseConnections } from '../../vault/database-connections.ts';
import { isVaultError } from '../../vault/errors.ts';
import type { ProbeResult } from '../probes/probe-result.ts';
import { inPlaceFields, pathSchema, segmentSchema } from '../specification-fields.ts';
import { type RotatorDependencies, rotatorKind } from './kind.ts';
import type { Attempt, Handle } from './rotator.ts';

const schema = z
  .strictObject({
    kind: z.literal('database-root'),
    ...inPlaceFields,
    /** The database engine, after VAULT_NAMESPACE. */
    mount: pathSchema,
    /** The name of its connection: `database/config/<connection>`. */
    connection: segmentSchema,
  })
  .refine(({ test }) => test === undefined, {
    path: ['test'],
    message: 'expected none: there is no value to try, and Vault itself is made to log in',
  })
  .refine(({ evidence }) => evidence === undefined, {
    path: ['evidence'],
    message: 'expected none: there is no old generation that could be in use',
  });

const handleSchema = z.object({ mount: z.string(), connection: z.string() });

/**
 * The password that Vault itself logs in to a database with: only Vault ever knows it. It cannot be read, given back or ended, so there is
 * no value and nothing to retire.
 */
export const databaseRoot = rotatorKind({
  schema,
  // That only Vault can log in as this user any more must be asked for by somebody.
  begins: 'when_asked',
  rights: ({ mount, connection }) => ({
    rotate: [
      { path: joinPath(mount, 'rotate-root', connection), under: 'namespace', capabilities: ['update'] },
      { path: joinPath(mount, 'reset', connection), under: 'namespace', capabilities: ['update'] },
    ],
  }),
  open: (deps) => ({
    create: async ({ spec }) => ({ handle: { mount: spec.mount, connection: spec.connection } }),
    apply: (attempt, handle) => changePassword(deps, attempt, handle),
    test: (_attempt, handle) => testLogin(deps, handle),
  }),
});

/** A second entry changes it once more, which does no harm: Vault knows the last one. */
async function changePassword(
  deps: RotatorDependencies,
  { assertClaimed }: Attempt<unknown>,
  handle: Handle,
): Promise<Handle> {
  const { connections, connection } = connectionOf(deps, handle);
  assertClaimed();
  await connections.rotateRoot(connection);
  return handle;
}

/** Has Vault log in with what it has stored. */
async function testLogin(deps: RotatorDependencies, handle: Handle): Promise<ProbeResult> {
  const { connections, connection } = connectionOf(deps, handle);
  try {
    await connections.reset(connection);
    return { ok: true };
  } catch (error) {
    if (!isVaultError(error, 'vault_unavailable', 'vault_timeout')) throw error;
    return { ok: false, code: 'database_login_failed', refused: false };
  }
}

function connectionOf(deps: RotatorDependencies, handle: Handle) {
  const { mount, connection } = handleSchema.parse(handle);
  return { connections: new DatabaseConnections(deps.vault, joinPath(deps.namespace, mount)), connection };
}
