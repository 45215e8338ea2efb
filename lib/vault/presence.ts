import * as z from 'zod';
import { joinPath, within } from './addressing.ts';
import { parseAnswer, type Vault, type VaultAnswer } from './client.ts';
import { isVaultError } from './errors.ts';
import type { Mount } from './mounts.ts';

/** Whether there is a secret at a path of KV. Nothing of what it holds. */
export interface Presence {
  /** `deleted`: it can be brought back; `destroyed`: it cannot. */
  readonly state: 'present' | 'missing' | 'deleted' | 'destroyed';
  /** The newest; 0 on KV v1. */
  readonly version: number;
  /** When the versions that are kept were written, in milliseconds since the epoch, the oldest first. Empty where it was not told. */
  readonly writtenAt: readonly number[];
}

const versionSchema = z.object({
  created_time: z.string(),
  deletion_time: z.string().default(''),
  destroyed: z.boolean().default(false),
});
const metadataAnswer = z.object({
  data: z.object({ current_version: z.number(), versions: z.record(z.string(), versionSchema) }),
});
/** The metadata alone: an object that zod parses has nothing of the rest. */
const readAnswer = z.object({
  data: z.object({ metadata: versionSchema.extend({ version: z.number() }) }).optional(),
});

const MISSING: Presence = { state: 'missing', version: 0, writtenAt: [] };

/** Where a KV secret is read: KV v2 puts `data` or `metadata` after the mount. */
export function kvPath(mount: Mount, fullPath: string, kind: 'data' | 'metadata' = 'data'): string {
  if (mount.kvVersion !== 2) return fullPath;
  return joinPath(mount.path, kind, within(mount.path, fullPath));
}

/**
 * Looks whether there is a secret. On KV v2 its metadata are asked for, which hold no value; where the policy allows only the data (and on
 * KV v1, which has no metadata) the answer's value is dropped unread. Throws `vault_denied`.
 */
export async function presenceOf(vault: Vault, mount: Mount, fullPath: string): Promise<Presence> {
  if (mount.kvVersion === 2) {
    const known = await byMetadata(vault, kvPath(mount, fullPath, 'metadata'));
    if (known !== undefined) return known;
  }
  const answer = await ask(vault, kvPath(mount, fullPath));
  if (mount.kvVersion !== 2) return { ...MISSING, state: answer.status === 404 ? 'missing' : 'present' };
  const metadata = parseAnswer(readAnswer, answer, 'looking for a secret').data?.metadata;
  if (metadata === undefined) return MISSING;
  return { ...conditionOf(metadata, vault.now()), version: metadata.version, writtenAt: [] };
}

/** Undefined when the policy does not allow the metadata. */
async function byMetadata(vault: Vault, path: string): Promise<Presence | undefined> {
  try {
    const answer = await ask(vault, path);
    if (answer.status === 404) return MISSING;
    const { data } = parseAnswer(metadataAnswer, answer, 'reading KV metadata');
    const newest = data.versions[String(data.current_version)];
    const writtenAt = Object.values(data.versions).map(({ created_time }) => Date.parse(created_time));
    // Metadata may be written before any value is.
    if (newest === undefined) return MISSING;
    return {
      ...conditionOf(newest, vault.now()),
      version: data.current_version,
      writtenAt: writtenAt.toSorted((a, b) => a - b),
    };
  } catch (error) {
    if (isVaultError(error, 'vault_denied')) return undefined;
    throw error;
  }
}

function ask(vault: Vault, path: string): Promise<VaultAnswer> {
  return vault.request({ method: 'GET', path, repeatable: true, missingIsAnswer: true });
}

function conditionOf(
  { deletion_time, destroyed }: z.output<typeof versionSchema>,
  now: number,
): Pick<Presence, 'state'> {
  if (destroyed) return { state: 'destroyed' };
  // A version that is to be deleted later has the time, too.
  return { state: deletion_time !== '' && Date.parse(deletion_time) <= now ? 'deleted' : 'present' };
}
