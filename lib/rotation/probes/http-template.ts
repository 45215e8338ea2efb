import type { ProbeFailure } from './probe-result.ts';
import { textOf, type Value } from './value-fields.ts';

const PLACEHOLDER = /\{\{([\w.-]+)\}\}/g;

/** True unless something begins like a placeholder and is none, such as `{{ api key }}`: it would be sent as it stands. */
export function isTemplate(text: string): boolean {
  return !text.replaceAll(PLACEHOLDER, '').includes('{{');
}

/**
 * Puts fields of the value in the place of `{{field}}`, each written as `encode` says. `test_value_incomplete`: a field is missing or
 * empty. `test_value_unusable`: one is no Unicode text, so it cannot be sent unchanged.
 */
export function filled(
  template: string,
  value: Value,
  encode: (text: string) => string = (text) => text,
): string | ProbeFailure {
  const fields = [...template.matchAll(PLACEHOLDER)].map(([, field = '']) => textOf(value, field));
  if (fields.includes(undefined)) return { ok: false, code: 'test_value_incomplete', refused: false };
  if (!fields.every((text) => text?.isWellFormed())) {
    return { ok: false, code: 'test_value_unusable', refused: false };
  }
  return template.replaceAll(PLACEHOLDER, (_, field: string) => encode(textOf(value, field) ?? ''));
}

/** How a field is written into a body of this type, so that a quote or an ampersand in it stays a part of the field. */
export function encoderFor(contentType: string): (text: string) => string {
  const type = contentType.split(';')[0]?.trim().toLowerCase() ?? '';
  if (type === 'application/json' || type.endsWith('+json'))
    return (text) => JSON.stringify(text).slice(1, -1);
  if (type === 'application/x-www-form-urlencoded') return encodeURIComponent;
  return (text) => text;
}

/** Visible ASCII, spaces and tabs: what every server reads the same in a header. A line break would begin another header. */
export function isHeaderValue(text: string): boolean {
  return /^[\t -~]*$/.test(text);
}
