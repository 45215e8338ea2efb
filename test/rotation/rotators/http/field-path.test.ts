import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fieldAt,
  fieldPathSchema,
  listAt,
  textAt,
  timeAt,
} from '../../../../lib/rotation/rotators/http/field-path.ts';

describe('fieldPathSchema', () => {
  it.each(['a', 'apiKey.value', 'keys[0].id', 'a[1][2].b-c', '$', '$[0].id', '$.a', 'été'])(
    'takes %j',
    (path) => {
      expect(fieldPathSchema.safeParse(path).success).toBe(true);
    },
  );

  it.each([
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a[',
    'a[]',
    'a[*]',
    'a[-1]',
    'a[x]',
    '[0]',
    'a b',
    'a[0]b',
    'a'.repeat(257),
  ])('refuses %j', (path) => {
    expect(fieldPathSchema.safeParse(path).success).toBe(false);
  });
});

describe('fieldAt', () => {
  it.each([
    ['apiKey.value', { apiKey: { value: 'v' } }, 'v'],
    ['keys[1].id', { keys: [{ id: 'a' }, { id: 'b' }] }, 'b'],
    ['a[0][1]', { a: [['x', 'y']] }, 'y'],
    ['$', [1], [1]],
    ['$[0].id', [{ id: 'a' }], 'a'],
    ['$.id', { id: 'a' }, 'a'],
    ['a.b', { a: null }, undefined],
    ['a.b', { a: 'text' }, undefined],
    ['a.length', { a: 'text' }, undefined],
    ['a', undefined, undefined],
    ['a.constructor', { a: {} }, undefined],
    ['toString', {}, undefined],
    ['__proto__', {}, undefined],
    ['a[2]', { a: [1] }, undefined],
  ])('reads %j of %j', (path, json, value) => {
    expect(fieldAt(json, path)).toEqual(value);
  });

  it('reads any JSON at any path', () => {
    fc.assert(
      fc.property(fc.json(), fc.stringMatching(/^[a-c](\.[a-c]|\[[0-2]\]){0,3}$/), (json, path) => {
        expect(fieldPathSchema.safeParse(path).success).toBe(true);
        fieldAt(JSON.parse(json), path);
      }),
    );
  });
});

describe('textAt', () => {
  it.each([
    ['text', 'text'],
    [42, '42'],
    [Number.MAX_SAFE_INTEGER, '9007199254740991'],
  ])('gives %j as text', (value, text) => {
    expect(textAt({ id: value }, 'id')).toBe(text);
  });

  it.each([undefined, null, '', true, 1.5, Number('9007199254740993'), {}, ['a']])(
    'makes no text of %j',
    (value) => {
      expect(() => textAt({ id: value }, 'id')).toThrow('The answer has no text at id.');
    },
  );
});

describe('listAt', () => {
  it('gives a list', () => {
    expect(listAt({ a: { b: [1] } }, 'a.b')).toEqual([1]);
    expect(listAt([], '$')).toEqual([]);
  });

  it.each([undefined, { a: {} }, { a: 'b' }, { a: { length: 1 } }])('finds none in %j', (json) => {
    expect(() => listAt(json, 'a')).toThrow('The answer has no list at a.');
  });
});

describe('timeAt', () => {
  const TIME = Date.parse('2026-11-21T22:17:00Z');

  it.each([
    ['2026-11-21T22:17:00Z'],
    ['2026-11-21T23:17:00+01:00'],
    ['2026-11-21T22:17:00'],
    ['2026-11-21T22:17:00.000'],
    [TIME],
    [TIME / 1_000],
    [TIME / 1_000 + 0.0001],
    [String(TIME)],
    [String(TIME / 1_000)],
  ])('reads %j, in whatever zone we are', (value) => {
    const zone = process.env.TZ;
    process.env.TZ = 'Asia/Tokyo';
    try {
      expect(timeAt({ at: value }, 'at')).toBe(TIME);
    } finally {
      process.env.TZ = zone;
      if (zone === undefined) delete process.env.TZ;
    }
  });

  it.each([undefined, null, 0])('knows nothing by %j', (value) => {
    expect(timeAt({ at: value }, 'at')).toBeUndefined();
  });

  it.each(['never', '', '2026-11-21', -1, true, {}, '2026-13-01T00:00:00Z'])('refuses %j', (value) => {
    expect(() => timeAt({ at: value }, 'at')).toThrow('The answer has no time at at.');
  });
});

describe('an answer that does not fit', () => {
  it.each([
    ['text', textAt],
    ['list', listAt],
    ['time', timeAt],
  ])('is told without what it holds: %s', (_what, read) => {
    const answer = { hush: { hush2: 'hush3' } };
    try {
      read(answer, 'hush');
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'http_answer_invalid', processed: 'maybe', status: undefined });
      expect(inspect(error)).not.toMatch(/hush[23]/);
    }
  });
});
