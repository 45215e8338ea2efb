import { describe, expect, it } from 'vitest';
import { compare, toleratedMembers } from '../../../lib/host/setup/compare.ts';
import type { ReadBack, SetupBody } from '../../../lib/host/setup/step.ts';

const read = (wanted: SetupBody, further: Partial<ReadBack> = {}): ReadBack => ({
  path: 'x',
  at: ['data'],
  wanted,
  ...further,
});
const kind = (wanted: SetupBody, data: unknown, further?: Partial<ReadBack>) =>
  compare(read(wanted, further), { data }).kind;

describe('comparing what is there', () => {
  it('tells nothing from something', () => {
    expect(compare(read({ a: 1 }), undefined)).toEqual({ kind: 'missing' });
    expect(compare(read({ a: 1 }), { data: null })).toEqual({ kind: 'missing' });
    expect(compare(read({}, { at: ['data', 'kv/'] }), { data: { 'other/': {} } }).kind).toBe('missing');
    expect(kind({}, {})).toBe('same');
  });

  it('looks at the wanted fields only, lists in any order, and takes what Vault leaves out as empty', () => {
    expect(kind({ a: 1 }, { a: 1, uuid: 'x' })).toBe('same');
    expect(kind({ list: ['b', 'a'] }, { list: ['a', 'b'] })).toBe('same');
    expect(kind({ list: [], flag: false, period: 0, text: '' }, { list: null })).toBe('same');
    expect(kind({ options: { version: '2' } }, { options: { version: '2', more: 1 } })).toBe('same');
  });

  it.each([
    [{ list: [] }, { list: ['*'] }],
    [{ list: ['a'] }, { list: ['a', 'b'] }],
    [{ list: ['a', 'b'] }, { list: ['a'] }],
    [{ period: 0 }, { period: 5 }],
    [{ flag: true }, {}],
    [{ flag: false }, { flag: true }],
    [{ options: { version: '2' } }, { options: null }],
    [{ options: { version: '2' } }, { options: { version: '1' } }],
  ])('tells %j from %j', (wanted, there) => {
    expect(kind(wanted, there)).toBe('different');
  });

  it('names each field with both values', () => {
    expect(compare(read({ a: 1, b: ['x'], c: true }), { data: { a: 2, b: ['x'], c: false } })).toEqual({
      kind: 'different',
      differences: [
        { field: 'a', there: '2', wanted: '1' },
        { field: 'c', there: 'false', wanted: 'true' },
      ],
    });
  });

  it('counts a thing as missing that nobody has set yet, and only that', () => {
    const factory = { cas_required: false, max_versions: 0 };
    const wanted = { cas_required: true, max_versions: 4 };
    expect(kind(wanted, { cas_required: false, max_versions: 0 }, { factory })).toBe('missing');
    expect(kind(wanted, { cas_required: false, max_versions: 9 }, { factory })).toBe('different');
    expect(kind(wanted, { cas_required: true, max_versions: 4 }, { factory })).toBe('same');
  });

  it('tolerates members of one list by their prefix, but misses none that is wanted', () => {
    const tolerates = { field: 'token_policies', prefix: 'managed-' };
    const wanted = { token_policies: ['rotate', 'managed-a'] };
    const there = (...policies: string[]) => ({ token_policies: policies });
    expect(kind(wanted, there('rotate', 'managed-a', 'managed-b'), { tolerates })).toBe('same');
    expect(kind(wanted, there('rotate', 'managed-b'), { tolerates })).toBe('different');
    expect(kind(wanted, there('rotate', 'managed-a', 'admin'), { tolerates })).toBe('different');
    expect(
      toleratedMembers(read(wanted, { tolerates }), { data: there('rotate', 'managed-b', 'admin') }),
    ).toEqual(['managed-b']);
  });
});
