import * as z from 'zod';
import { joinPath } from '../../lib/vault/addressing.ts';
import { tokenNamespaceOf } from '../../lib/vault/mounts.ts';
import { TransitKeys } from '../../lib/vault/transit-keys.ts';
import { adminOf } from '../support/admin.ts';
import type { World } from '../support/world.ts';
import type { KindCase, PreparedKind } from './kind-case.ts';

const encryptedSchema = z.object({ data: z.object({ ciphertext: z.string() }) });
const decryptedSchema = z.object({ data: z.object({ plaintext: z.string() }) });
const PLAINTEXT = Buffer.from('of no importance').toString('base64');

export interface PreparedTransit extends PreparedKind {
  keys(): TransitKeys;
  /** With the latest version unless another is asked for; rejects when Vault refuses. */
  encrypt(key: string, version?: number): Promise<string>;
  /** Rejects when Vault refuses. */
  decrypt(key: string, ciphertext: string): Promise<boolean>;
  /** Deletes the key and makes another of that name, with one version. */
  replace(key: string): Promise<void>;
}

/** A transit engine in the world's namespace; each secret has a key of its own name. */
export async function prepareTransit(world: World): Promise<PreparedTransit> {
  const { request, read } = adminOf(world);
  const mount = joinPath(world.namespace, 'transit');
  const within = await tokenNamespaceOf(world.vault, world.namespace, '');
  await request('POST', joinPath(within, 'sys/mounts', within === '' ? mount : 'transit'), {
    type: 'transit',
  });
  const encrypt = async (key: string, version?: number) => {
    const body = { plaintext: PLAINTEXT, ...(version === undefined ? {} : { key_version: version }) };
    return (await read(encryptedSchema, 'POST', `${mount}/encrypt/${key}`, body)).data.ciphertext;
  };
  const decrypt = async (key: string, ciphertext: string) =>
    (await read(decryptedSchema, 'POST', `${mount}/decrypt/${key}`, { ciphertext })).data.plaintext ===
    PLAINTEXT;
  const replace = async (key: string) => {
    await request('POST', `${mount}/keys/${key}/config`, { deletion_allowed: true });
    await request('DELETE', `${mount}/keys/${key}`);
    await request('POST', `${mount}/keys/${key}`, {});
  };
  return {
    keys: () => new TransitKeys(world.vault, mount),
    encrypt,
    decrypt,
    replace,
    specify: async (name) => {
      await request('POST', `${mount}/keys/${name}`, {});
      // A key that has been in use for a while: its latest version is the first generation.
      await request('POST', `${mount}/keys/${name}/rotate`);
      return { kind: 'transit-key', name, key: name };
    },
    works: async (name) => decrypt(name, await encrypt(name)),
    live: async () => [],
    disturb: async (name) => {
      await replace(name);
      return 'key_replaced';
    },
    close: async () => {},
  };
}

/** Its old versions stay: what `retire` takes from them is in a test of its own. */
export const transitKeyCase: KindCase = {
  kind: 'transit-key',
  overlaps: true,
  ends: false,
  prepare: prepareTransit,
};
