import { describe, expect, it } from 'vitest';
import { loginOf, textOf } from '../../../lib/rotation/probes/value-fields.ts';

const failure = (code: string) => ({ ok: false, code, refused: false });

describe('a field', () => {
  it.each<[string, unknown, string | undefined]>([
    ['text', 'a', 'a'],
    ['a number', 123_456, '123456'],
    ['nothing in it', '', undefined],
    ['a list', ['a'], undefined],
    ['null', null, undefined],
  ])('that is %s', (_, content, expected) => {
    expect(textOf({ field: content }, 'field')).toBe(expected);
  });

  it('is one of the value’s own', () => {
    expect(textOf(Object.create({ field: 'a' }), 'field')).toBeUndefined();
  });
});

describe('a login', () => {
  it('is taken from username and password, or from the fields that are named', () => {
    expect(loginOf({ username: 'u', password: 'p' }, {})).toEqual({
      ok: true,
      username: 'u',
      password: 'p',
    });
    expect(loginOf({ user: 'u', pw: 'p' }, { username_field: 'user', password_field: 'pw' })).toEqual({
      ok: true,
      username: 'u',
      password: 'p',
    });
  });

  it.each([
    ['no user', { password: 'p' }],
    ['no password', { username: 'u' }],
    ['an empty user, for which pg would take PGUSER', { username: '', password: 'p' }],
    ['an empty password, for which pg would take PGPASSWORD', { username: 'u', password: '' }],
  ])('is incomplete with %s', (_, value) => {
    expect(loginOf(value, {})).toEqual(failure('test_value_incomplete'));
  });

  it.each([
    ['a NUL in the user', { username: 'u\0database\0postgres', password: 'p' }],
    ['a NUL in the password', { username: 'u', password: 'p\0' }],
    ['half a surrogate pair', { username: 'u', password: '\ud800' }],
  ])('cannot be used with %s', (_, value) => {
    expect(loginOf(value, {})).toEqual(failure('test_value_unusable'));
  });
});
