import type { Secret } from '../../../telemetry/secret.ts';
import type { PlaceholderValues } from './placeholders.ts';

/** What each request may name besides the parameters of the specification and `auth.<field>`. */
export const PLACEHOLDERS = {
  create: ['name', 'attempt', 'expires_at'],
  test: ['name', 'attempt', 'key', 'key_id'],
  revoke: ['name', 'key_id'],
  list: ['name'],
} as const;
export type KeyOperation = keyof typeof PLACEHOLDERS;

export interface RequestValues {
  /** `{{parameter}}`, each by its own name. */
  readonly parameters: Readonly<Record<string, string>>;
  /** `{{auth.<field>}}`: the fields of a KV secret that are text. */
  readonly auth: Secret<Readonly<Record<string, unknown>>> | undefined;
  /** `{{name}}`: what the key is called at the provider. */
  readonly name?: string;
  /** `{{attempt}}`: a ULID. */
  readonly attempt?: string;
  /** `{{expires_at}}`: milliseconds since 1970. */
  readonly expiresAt?: number;
  /** `{{key_id}}` */
  readonly keyId?: string;
  /** `{{key}}` */
  readonly key?: Secret;
}

/** The values of all placeholders. */
export function placeholderValues(values: RequestValues): PlaceholderValues {
  const { parameters, auth, name, attempt, expiresAt, keyId, key } = values;
  return {
    ...parameters,
    ...(auth === undefined ? {} : authFields(auth)),
    ...(name === undefined ? {} : { name }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(expiresAt === undefined ? {} : { expires_at: utcSeconds(expiresAt) }),
    ...(keyId === undefined ? {} : { key_id: keyId }),
    ...(key === undefined ? {} : { key }),
  };
}

function authFields(auth: Secret<Readonly<Record<string, unknown>>>): Record<string, string> {
  const fields = Object.entries(auth.expose()).flatMap(([name, value]) =>
    typeof value === 'string' ? [[`auth.${name}`, value]] : [],
  );
  return Object.fromEntries(fields);
}

/** RFC 3339 without fractions, as `2026-11-21T22:17:00Z`: some APIs take no more. Rounded down, a key ends no later than meant. */
function utcSeconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
