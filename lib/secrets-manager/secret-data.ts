import { LeasekeeperError } from '../errors.ts';
import { Secret } from '../telemetry/secret.ts';

/**
 * The fields of one secret. As every {@link Secret} it prints as `[secret]` and spreads to nothing; `get('password')` gives one
 * field where it is used, `expose()` all of them. Frozen through and through: callers share one copy.
 */
export class SecretData extends Secret<Readonly<Record<string, unknown>>> {
  constructor(fields: Readonly<Record<string, unknown>>) {
    super(deepFreeze(structuredClone(fields)));
  }

  /** The names of the fields, which are no secret. */
  names(): readonly string[] {
    return Object.keys(this.expose());
  }

  has(name: string): boolean {
    return Object.hasOwn(this.expose(), name);
  }

  /** One field: a string as it is, anything else as its JSON text. Throws `secret_field_missing`. */
  get(name: string): string {
    if (!this.has(name)) throw fieldMissing(name, this.names());
    const value = this.expose()[name];
    return typeof value === 'string' ? value : JSON.stringify(value);
  }
}

function fieldMissing(name: string, names: readonly string[]): LeasekeeperError {
  return new LeasekeeperError('secret_field_missing', `The secret has no field ${JSON.stringify(name)}.`, {
    hint: `Its fields are: ${names.join(', ') || 'none'}.`,
  });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
