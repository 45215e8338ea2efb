import * as z from 'zod';
import { AppRoleSecretIds } from '../../lib/vault/approle-secret-ids.ts';
import { loginAt } from '../../lib/vault/auth/login.ts';
import { isVaultError } from '../../lib/vault/errors.ts';
import { adminOf, uniqueName } from '../support/admin.ts';
import type { World } from '../support/world.ts';
import type { KindCase } from './kind-case.ts';

const valueSchema = z.object({ role_id: z.string(), secret_id: z.string() });

/** Mounts an AppRole method with the role `app`; returns the mount. */
export async function mountAppRole(
  world: World,
  role: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const mount = uniqueName('approle');
  await adminOf(world).request('POST', `sys/auth/${mount}`, { type: 'approle' });
  await adminOf(world).request('POST', `auth/${mount}/role/app`, { token_ttl: '1m', ...role });
  return mount;
}

export function secretIdsOf(world: World, mount: string): AppRoleSecretIds {
  return new AppRoleSecretIds(world.vault, { namespace: '', mount, role: 'app' });
}

export async function logsIn(world: World, mount: string, value: unknown): Promise<boolean> {
  const parsed = valueSchema.safeParse(value);
  if (!parsed.success) return false;
  try {
    await loginAt(world.client, '', mount, parsed.data);
    return true;
  } catch (error) {
    if (isVaultError(error, 'vault_bad_request')) return false;
    throw error;
  }
}

export const approleSecretIdCase: KindCase = {
  kind: 'approle-secret-id',
  overlaps: true,
  ends: true,
  prepare: async (world) => {
    const mount = await mountAppRole(world);
    const secretIds = secretIdsOf(world, mount);
    return {
      specify: async (name) => ({
        kind: 'approle-secret-id',
        name,
        role: 'app',
        mount,
        publish: `app/${name}`,
        grace: '0s',
        deadline: '0s',
      }),
      works: (_name, value) => logsIn(world, mount, value),
      live: async () => [...(await secretIds.accessors())].sort(),
      idOf: ({ accessor }) => String(accessor),
      disturb: async (_name, { accessor }) => {
        await secretIds.destroy(String(accessor));
        return 'secret_id_destroyed';
      },
      close: async () => {},
    };
  },
};
