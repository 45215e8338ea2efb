import { ulid } from 'ulid';
import { describe, expect, it } from 'vitest';
import { LeasekeeperError } from '../../../lib/errors.ts';
import { suppliedIds, suppliedPath, suppliedValueIn } from '../../../lib/rotation/rotators/supplied-value.ts';

function refusalOf(data: unknown): LeasekeeperError | undefined {
  try {
    suppliedValueIn(data);
    return undefined;
  } catch (error) {
    if (error instanceof LeasekeeperError) return error;
    throw error;
  }
}

describe('suppliedIds', () => {
  it('sorts by time, newest first, and passes over what is no id', () => {
    const [first, second, third] = [ulid(1_000), ulid(2_000), ulid(3_000)];
    expect(suppliedIds([second, 'by-hand', third, `${first}/`, first, 'zzz'])).toEqual([
      third,
      second,
      first,
    ]);
    expect(suppliedIds([])).toEqual([]);
  });
});

it('keeps the values of each secret in a folder of its own', () => {
  expect(suppliedPath('partner-key', '01J')).toBe('supplied/partner-key/01J');
});

describe('suppliedValueIn', () => {
  it.each([
    [{ key: 'text' }],
    [{ key: '', n: 9_007_199_254_740_991, share: 0.1, on: false, none: null }],
    [{ pair: { public: 'a', private: ['b', { deep: ['c'] }] } }],
    [{ key: 'x'.repeat(65_526) }],
  ])('takes the fields of a secret', (value) => {
    expect(suppliedValueIn({ value })).toEqual(value);
  });

  it.each([
    ['no document', undefined],
    ['the value itself', { key: 'sesame' }],
    ['more than a value', { value: { key: 'sesame' }, by: 'somebody' }],
    ['a text', { value: 'sesame' }],
    ['a list', { value: ['sesame'] }],
    ['nothing', { value: {} }],
    ['a field without a name', { value: { '': 'sesame' } }],
    ['more than 64 KiB', { value: { key: 'x'.repeat(65_527) } }],
    ['more than 64 KiB once it is written', { value: { key: 'ä'.repeat(32_764) } }],
    ['a number that would change', { value: { list: [{ n: 2 ** 53 }] } }],
  ])('refuses %s, and shows nothing of it', (_what, data) => {
    const refusal = refusalOf(data);
    expect(refusal?.code).toBe('manual_value_invalid');
    expect(`${refusal?.message} ${refusal?.hint}`).not.toContain('sesame');
  });
});
