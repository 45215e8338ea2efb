/**
 * Where the generation of a published value is written: in the custom metadata of its KV v2 secret, under a key of its own for each
 * version. Value and metadata are two writes. A worker that sleeps between them for an hour can then name only the version that it wrote
 * itself, and says nothing of those that came since.
 */
const MANAGED_BY = 'managed-by';
const SYSTEM = 'leasekeeper';
/** Keys of this many versions back are removed: KV takes 64 keys, and readers want the newest. */
const VERSIONS_NAMED = 8;

function keyOf(version: number): string {
  return `generation-of-version-${version}`;
}

/** What to patch into the custom metadata once `version` holds a generation of the managed secret `name`. Null removes a key. */
export function generationMetadata(
  name: string,
  generation: number,
  version: number,
): Readonly<Record<string, string | null>> {
  return {
    [MANAGED_BY]: SYSTEM,
    name,
    [keyOf(version)]: String(generation),
    [keyOf(version - VERSIONS_NAMED)]: null,
  };
}

/** The generation that a version of a KV v2 secret holds; undefined when it is none of ours, or its metadata is not yet written. */
export function generationOf(
  customMetadata: Readonly<Record<string, string>>,
  version: number,
): number | undefined {
  const generation = customMetadata[keyOf(version)];
  if (customMetadata[MANAGED_BY] !== SYSTEM || generation === undefined) return undefined;
  return /^[1-9]\d*$/.test(generation) ? Number(generation) : undefined;
}
