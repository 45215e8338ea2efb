import { describe, expect, it } from 'vitest';
import { laterIndex } from '../../lib/vault/vault-index.ts';

const index = (value: number | string, cluster = 'one') =>
  Buffer.from(JSON.stringify({ cluster, value: String(value) })).toString('base64');

describe('the index that is sent back', () => {
  it('is the greatest that was seen, in reads and writes, in whatever order the answers come', () => {
    expect(laterIndex(undefined, index(7), false)).toBe(index(7));
    expect(laterIndex(index(7), index(8), false)).toBe(index(8));
    expect(laterIndex(index(8), index(7), true)).toBe(index(8));
    expect(laterIndex(index(9), index(10), true)).toBe(index(10));
    expect(laterIndex(index('9007199254740993'), index('9007199254740992'), true)).toBe(
      index('9007199254740993'),
    );
  });

  it('begins anew with another cluster', () => {
    expect(laterIndex(index(100), index(1, 'two'), false)).toBe(index(1, 'two'));
  });

  it('is that of the last write where it is opaque', () => {
    expect(laterIndex(undefined, 'v1:opaque', false)).toBeUndefined();
    expect(laterIndex(undefined, 'v1:opaque', true)).toBe('v1:opaque');
    expect(laterIndex('v1:opaque', 'v1:other', false)).toBe('v1:opaque');
    expect(laterIndex('v1:opaque', 'v1:other', true)).toBe('v1:other');
  });
});
