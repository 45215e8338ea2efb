import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';
import { joinPath } from '../../vault/addressing.ts';
import { isVaultError } from '../../vault/errors.ts';
import { type TransitKey, TransitKeys } from '../../vault/transit-keys.ts';
import type { ProbeResult } from '../probes/probe-result.ts';
import { inPlaceFields, pathSchema, segmentSchema } from '../specification-fields.ts';
import { type RotatorDependencies, rotatorKind } from './kind.ts';
import type { Attempt, Created, Handle } from './rotator.ts';

/** What becomes of a version that was replaced: a version of a transit key cannot be deleted. */
const retireSchema = z.enum(['nothing', 'min_encryption_version', 'min_decryption_version']);

const schema = z
  .strictObject({
    kind: z.literal('transit-key'),
    ...inPlaceFields,
    /** The transit engine, after VAULT_NAMESPACE. */
    mount: pathSchema.default('transit'),
    key: segmentSchema,
    retire: retireSchema.default('min_encryption_version'),
  })
  .refine(({ retire, grace }) => retire !== 'min_decryption_version' || grace > 0, {
    path: ['grace'],
    message: 'expected the time that old ciphertexts stay readable, with retire: min_decryption_version',
  });
type TransitSpecification = z.infer<typeof schema>;

const handleOfKey = z.object({
  mount: z.string(),
  key: z.string(),
  retire: retireSchema,
  /** The latest version before this generation was made. */
  from: z.number().int().optional(),
  /** The version that is this generation; not known until it is applied. */
  version: z.number().int().optional(),
  /** When Vault made that version: another time means another key of the same name. */
  made_at: z.string().optional(),
});
type KeyHandle = z.infer<typeof handleOfKey>;
type KeyName = Pick<KeyHandle, 'mount' | 'key'>;

/** The versions of a transit key. The first generation is the version that is there. */
export const transitKey = rotatorKind({
  schema,
  begins: 'at_once',
  rights: ({ mount, key, retire }) => {
    const path = joinPath(mount, 'keys', key);
    return {
      rotate: [
        { path, under: 'namespace', capabilities: ['read'] },
        { path: joinPath(path, 'rotate'), under: 'namespace', capabilities: ['update'] },
        ...(retire === 'nothing'
          ? []
          : [
              {
                path: joinPath(path, 'config'),
                under: 'namespace' as const,
                capabilities: ['update'] as const,
                // The same path also makes a key exportable, or lets it be deleted.
                parameters:
                  retire === 'min_decryption_version'
                    ? ['min_decryption_version', 'min_encryption_version']
                    : ['min_encryption_version'],
              },
            ]),
      ],
    };
  },
  open: (deps) => ({
    create: (attempt) => begin(deps, attempt),
    apply: (attempt, handle) => rotate(deps, attempt, handle),
    test: (_attempt, handle) => tryVersion(deps, handle),
    revoke: ({ handle }) => retire(deps, handle),
    inspect: (_spec, { handle }) => inspect(deps, handle),
  }),
});

/** Changes nothing yet: what has to be told apart later is which version was the latest before. Throws `transit_key_not_rotatable`. */
async function begin(
  deps: RotatorDependencies,
  { spec: { mount, key, retire }, current, urgent }: Attempt<TransitSpecification>,
): Promise<Created> {
  const ours = { mount, key, retire };
  const there = await keyOf(deps, ours);
  if (!there.rotatable) throw notRotatable(deps, ours);
  return {
    handle:
      current === undefined && !urgent
        ? withVersion(ours, there)
        : ({ ...ours, from: there.latestVersion } satisfies KeyHandle),
  };
}

/** Vault cannot fence it, so it is called only where the latest version is still the one from before. */
async function rotate(
  deps: RotatorDependencies,
  attempt: Attempt<TransitSpecification>,
  stored: Handle,
): Promise<Handle> {
  const handle = handleOfKey.parse(stored);
  if (handle.version !== undefined) return stored;
  const before = await keyOf(deps, handle);
  if (before.latestVersion > (handle.from ?? 0)) return withVersion(handle, before);
  attempt.assertClaimed();
  try {
    await keysOf(deps, handle).rotate(handle.key);
  } catch (error) {
    if (!isVaultError(error) || error.processed === 'no') throw error;
    // It may have been done although no answer came: the key tells.
    const after = await keyOf(deps, handle);
    if (after.latestVersion > before.latestVersion) return withVersion(handle, after);
    throw error;
  }
  return withVersion(handle, await keyOf(deps, handle));
}

function withVersion(handle: KeyHandle, { latestVersion, madeAt }: TransitKey): Handle {
  const made_at = madeAt[latestVersion];
  const { mount, key, retire, from } = handle;
  return {
    mount,
    key,
    retire,
    version: latestVersion,
    ...(from === undefined ? {} : { from }),
    ...(made_at === undefined ? {} : { made_at }),
  };
}

/**
 * Whether the version is there and may be used. Nothing is encrypted or signed with it: whoever may do that holds the key in all but
 * name.
 */
async function tryVersion(deps: RotatorDependencies, stored: Handle): Promise<ProbeResult> {
  const handle = handleOfKey.parse(stored);
  const there = await keysOf(deps, handle).read(handle.key);
  if (handle.version !== undefined && there?.madeAt[handle.version] !== undefined) return { ok: true };
  return { ok: false, code: 'test_key_version_missing', refused: false };
}

/** A generation that was never applied, or whose version is still the latest, has nothing to retire. */
async function retire(deps: RotatorDependencies, stored: Handle): Promise<void> {
  const handle = handleOfKey.parse(stored);
  const there = await keysOf(deps, handle).read(handle.key);
  if (there === undefined) return;
  const minimum = minimumVersionsAfter(handle, there);
  if (minimum !== undefined) await keysOf(deps, handle).setMinimumVersions(handle.key, minimum);
}

/**
 * The minimum versions of a key once `version` is retired: the one after it, never above the latest, and never below what is set. Vault
 * wants that of encryption at least as high as that of decryption. Undefined: nothing changes.
 */
export function minimumVersionsAfter(
  { version, retire }: Pick<KeyHandle, 'version' | 'retire'>,
  key: Pick<TransitKey, 'latestVersion' | 'minDecryptionVersion' | 'minEncryptionVersion'>,
): { readonly encryption: number; readonly decryption?: number } | undefined {
  if (retire === 'nothing' || version === undefined || version >= key.latestVersion) return undefined;
  const next = version + 1;
  const decryption = Math.max(key.minDecryptionVersion, retire === 'min_decryption_version' ? next : 0);
  const encryption = Math.max(key.minEncryptionVersion, decryption, next);
  if (decryption > key.minDecryptionVersion) return { encryption, decryption };
  return encryption > key.minEncryptionVersion ? { encryption } : undefined;
}

/** A newer version than ours is no drift: it is as good, whoever made it, and the next rotation goes on from it. */
async function inspect(deps: RotatorDependencies, stored: Handle): Promise<string | undefined> {
  const handle = handleOfKey.parse(stored);
  const there = await keysOf(deps, handle).read(handle.key);
  if (there === undefined) return 'key_deleted';
  const { version = 0, made_at } = handle;
  const madeAt = there.madeAt[version];
  const isAnother = made_at !== undefined && madeAt !== undefined && madeAt !== made_at;
  return isAnother || there.latestVersion < version ? 'key_replaced' : undefined;
}

/** Throws `transit_key_missing`. */
async function keyOf(deps: RotatorDependencies, handle: KeyName): Promise<TransitKey> {
  const there = await keysOf(deps, handle).read(handle.key);
  if (there !== undefined) return there;
  throw new LeasekeeperError('transit_key_missing', `There is no key at ${pathOf(deps, handle)}.`, {
    hint: 'Make it, or restore it from its backup: Leasekeeper makes no keys of its own.',
  });
}

function notRotatable(deps: RotatorDependencies, handle: KeyName): LeasekeeperError {
  return new LeasekeeperError('transit_key_not_rotatable', `Vault does not rotate ${pathOf(deps, handle)}.`, {
    hint: 'It was imported without allow_rotation: import its versions as it was imported itself.',
  });
}

function keysOf(deps: RotatorDependencies, { mount }: Pick<KeyHandle, 'mount'>): TransitKeys {
  return new TransitKeys(deps.vault, joinPath(deps.namespace, mount));
}

function pathOf(deps: RotatorDependencies, { mount, key }: KeyName): string {
  return joinPath(deps.namespace, mount, 'keys', key);
}
