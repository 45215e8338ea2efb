import { describe, expect, it } from 'vitest';
import { collect, countUpTo, milliseconds } from '../../lib/cli/option-values.ts';

const invalid = expect.objectContaining({ code: 'commander.invalidArgument' });

it.each([
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['0s', 0],
])('reads %s as milliseconds', (text, expected) => {
  expect(milliseconds(text)).toBe(expected);
});

it.each(['', '90', 'soon', '-1s', '1 h'])('takes %j for no duration', (text) => {
  expect(() => milliseconds(text)).toThrow(invalid);
});

describe('a count', () => {
  it.each(['1', '50'])('may be %s', (text) => {
    expect(countUpTo(50)(text)).toBe(Number(text));
  });

  it.each(['', '0', '51', '1.5', '-1', 'x', 'Infinity'])('may not be %j', (text) => {
    expect(() => countUpTo(50)(text)).toThrow(invalid);
  });
});

it('collects what is repeated, in order', () => {
  expect(collect('b', collect('a'))).toEqual(['a', 'b']);
});
