import { describe, expect, it } from 'vitest';
import { nameSchema } from '../../lib/rotation/name.ts';
import {
  generationMetadata,
  generationOf,
  isManagedName,
  managedNameIn,
  versionHolding,
} from '../../lib/vault/published-generation.ts';

/** The custom metadata after these publications in turn, each a generation and its version. */
function metadataAfter(...published: readonly (readonly [generation: number, version: number])[]) {
  const metadata: Record<string, string> = {};
  for (const [generation, version] of published) {
    for (const [key, value] of Object.entries(generationMetadata('one', generation, version))) {
      if (value === null) delete metadata[key];
      else metadata[key] = value;
    }
  }
  return metadata;
}

describe('the version that holds a generation', () => {
  const metadata = metadataAfter([1, 1], [2, 4], [3, 5]);

  it('is found by what was written for it', () => {
    expect([1, 2, 3].map((generation) => versionHolding(metadata, generation))).toEqual([1, 4, 5]);
    expect([versionHolding(metadata, 'current'), versionHolding(metadata, 'previous')]).toEqual([5, 4]);
    expect([1, 4, 5].map((version) => generationOf(metadata, version))).toEqual([1, 2, 3]);
  });

  it('is none for one that was never published, or long ago', () => {
    expect(versionHolding(metadata, 4)).toBeUndefined();
    const later = metadataAfter([1, 1], [2, 2], [3, 9]);
    expect([1, 2, 3].map((generation) => versionHolding(later, generation))).toEqual([undefined, 2, 9]);
  });

  it('is the later one of two, and the one before it is another generation', () => {
    const twice = metadataAfter([1, 1], [2, 2], [2, 3]);
    expect([versionHolding(twice, 2), versionHolding(twice, 'previous')]).toEqual([3, 1]);
    expect(versionHolding(metadataAfter([1, 1], [1, 2]), 'previous')).toBeUndefined();
  });

  it('is compared as a number', () => {
    const many = metadataAfter([8, 8], [9, 9], [10, 10]);
    expect([versionHolding(many, 'current'), versionHolding(many, 'previous')]).toEqual([10, 9]);
  });

  it('is none where others wrote the metadata, or wrote them wrong', () => {
    expect(versionHolding({ ...metadata, 'managed-by': 'somebody' }, 'current')).toBeUndefined();
    const wrong = {
      'generation-of-version-6': '04',
      'generation-of-version-x': '4',
      'generation-of-version-07': '4',
    };
    expect(versionHolding({ ...metadata, ...wrong }, 'current')).toBe(5);
    expect(versionHolding({}, 'current')).toBeUndefined();
  });
});

describe('the managed secret that publishes at a path', () => {
  it('is named in the metadata, by Leasekeeper alone', () => {
    expect(managedNameIn(metadataAfter([1, 1]))).toBe('one');
    expect(managedNameIn({ name: 'one' })).toBeUndefined();
    expect(managedNameIn({ 'managed-by': 'somebody', name: 'one' })).toBeUndefined();
    expect(managedNameIn({ 'managed-by': 'leasekeeper' })).toBeUndefined();
    expect(managedNameIn({ 'managed-by': 'leasekeeper', name: '../../secrets/one' })).toBeUndefined();
  });

  it.each(['a', '0-9', 'a'.repeat(63), '', '-a', 'a-', 'A', 'a b', 'a/b', '..', 'a\n', 'a'.repeat(64), 'ä'])(
    'has a name as specifications take it: %j',
    (name) => {
      expect(isManagedName(name)).toBe(nameSchema.safeParse(name).success);
    },
  );
});
