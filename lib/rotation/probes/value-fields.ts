import type { ProbeFailure } from './probe-result.ts';

/** A new generation's value: what the published path will hold. */
export type Value = Readonly<Record<string, unknown>>;

/** A field as text; undefined when it is missing, empty, or neither text nor a number. */
export function textOf(value: Value, field: string): string | undefined {
  const found = Object.hasOwn(value, field) ? value[field] : undefined;
  if (typeof found === 'number') return String(found);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

export interface Login {
  readonly ok: true;
  readonly username: string;
  readonly password: string;
}

/**
 * The login that a value holds. `test_value_incomplete`: a field is missing or empty; database clients would take an empty one from the
 * environment. `test_value_unusable`: it is no Unicode text, or has a NUL character, which would end the name early in the database's
 * protocol and begin another option.
 */
export function loginOf(
  value: Value,
  { username_field = 'username', password_field = 'password' },
): Login | ProbeFailure {
  const username = textOf(value, username_field);
  const password = textOf(value, password_field);
  if (username === undefined || password === undefined) {
    return { ok: false, code: 'test_value_incomplete', refused: false };
  }
  if (![username, password].every((text) => text.isWellFormed() && !text.includes('\0'))) {
    return { ok: false, code: 'test_value_unusable', refused: false };
  }
  return { ok: true, username, password };
}
