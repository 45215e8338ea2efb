/**
 * Where the generation of a published value is written: in the custom metadata of its KV v2 secret, under a key of its own for each
 * version. Value and metadata are two writes. A worker that sleeps between them for an hour can then name only the version that it wrote
 * itself, and says nothing of those that came since.
 */
const MANAGED_BY = 'managed-by';
const SYSTEM = 'leasekeeper';
/** Keys of this many versions back are removed: KV takes 64 keys, and readers want the newest. */
const VERSIONS_NAMED = 8;
const VERSION_KEY = /^generation-of-version-([1-9]\d*)$/;
/** As specifications have it (lib/rotation/specification-fields.ts). */
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

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

/** The managed secret that publishes here; undefined when none does. */
export function managedNameIn(customMetadata: Readonly<Record<string, string>>): string | undefined {
  const { name } = customMetadata;
  // Whoever may write the metadata may write this: nothing but a name may end up in a path.
  return customMetadata[MANAGED_BY] === SYSTEM && name !== undefined && isManagedName(name)
    ? name
    : undefined;
}

/** Whether it can be the name of a managed secret or of a consumer. */
export function isManagedName(name: string): boolean {
  return NAME.test(name);
}

/** A generation, or which of those that are named: `current` is the newest of them. */
export type GenerationChoice = number | 'current' | 'previous';

/** The version that holds a generation; undefined when the metadata name none. */
export function versionHolding(
  customMetadata: Readonly<Record<string, string>>,
  choice: GenerationChoice,
): number | undefined {
  const named = namedVersions(customMetadata);
  if (choice === 'current') return named[0]?.version;
  if (choice === 'previous') return named[1]?.version;
  return named.find(({ generation }) => generation === choice)?.version;
}

interface NamedVersion {
  readonly version: number;
  readonly generation: number;
}

/** One version for each generation, newest first. A generation that was published twice is the later of its versions. */
function namedVersions(customMetadata: Readonly<Record<string, string>>): readonly NamedVersion[] {
  const versions = Object.keys(customMetadata).flatMap((key) => {
    const version = VERSION_KEY.exec(key)?.[1];
    return version === undefined ? [] : [Number(version)];
  });
  const named = versions
    .toSorted((a, b) => b - a)
    .flatMap((version) => {
      const generation = generationOf(customMetadata, version);
      return generation === undefined ? [] : [{ version, generation }];
    });
  const isFirst = (one: NamedVersion) =>
    named.find(({ generation }) => generation === one.generation)?.version === one.version;
  return named.filter(isFirst).toSorted((a, b) => b.generation - a.generation);
}
