import { LeasekeeperError } from '../../../errors.ts';
import type { Secret } from '../../../telemetry/secret.ts';

/** What placeholders stand for, by name: `name`, `key_id`, `auth.api_key`. */
export type PlaceholderValues = Readonly<Record<string, string | Secret>>;

const PLACEHOLDER = /\{\{([a-z][a-z0-9_]*(?:\.[A-Za-z0-9_-]+)?)\}\}/g;

/** The names of a text's placeholders, each as often as it stands there. */
export function placeholdersIn(text: string): readonly string[] {
  return [...text.matchAll(PLACEHOLDER)].map(([, name = '']) => name);
}

/** The text with another one in place of each placeholder. */
export function withoutPlaceholders(text: string, instead: string): string {
  return text.replace(PLACEHOLDER, () => instead);
}

/** False for a text with an opening `{{` that begins no placeholder: it would be sent as it is. */
export function hasOnlyPlaceholders(text: string): boolean {
  return !withoutPlaceholders(text, ' ').includes('{{');
}

/** Whether a placeholder stands for a secret, which no URL may hold: URLs end up in access logs. */
export function isSecretPlaceholder(name: string): boolean {
  return name === 'key' || name.startsWith('auth.');
}

/**
 * Fills a text in one pass: a placeholder inside a value stays as it is. `encode` makes a value fit where it stands. Throws
 * `http_placeholder_unknown`, and `http_value_unusable` for a value that is empty or no Unicode text.
 */
export function fillText(
  text: string,
  values: PlaceholderValues,
  encode: (value: string, name: string) => string = (value) => value,
): string {
  return text.replace(PLACEHOLDER, (_all, name: string) => encode(held(name, values), name));
}

function held(name: string, values: PlaceholderValues): string {
  const found = Object.hasOwn(values, name) ? values[name] : undefined;
  if (found === undefined) {
    throw new LeasekeeperError('http_placeholder_unknown', `There is no value for {{${name}}}.`, {
      hint: 'Check the spelling, the parameters of the specification, and the fields at the path that auth is read from.',
    });
  }
  const value = typeof found === 'string' ? found : found.expose();
  if (value === '') throw unusable(name, 'it is empty');
  if (!value.isWellFormed()) throw unusable(name, 'it is no Unicode text');
  return value;
}

/** A value that cannot stand where its placeholder does. The error names the placeholder and not the value. */
export function unusable(name: string, why: string): LeasekeeperError {
  return new LeasekeeperError('http_value_unusable', `The value of {{${name}}} cannot be sent: ${why}.`, {
    hint: 'Correct the value where it is kept; look for spaces and line ends around it.',
  });
}
