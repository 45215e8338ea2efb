import { inspect } from 'node:util';

/** What a secret prints as, wherever it is printed. */
export const PRINTED_SECRET = '[secret]';

/**
 * Holds a secret so that it cannot be printed by accident: strings, JSON, `util.inspect`, spreading and structured
 * clones all come out as `[secret]` or empty. `expose()` is the only way out; call it where the value is used, not before.
 *
 * The value is a `#private` field, not a symbol or a WeakMap entry: `util.inspect` shows symbols, even with
 * `customInspect: false`, and a structured clone drops private fields.
 */
export class Secret<T = string> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
    Object.freeze(this);
  }

  /** The value itself. */
  expose(): T {
    return this.#value;
  }

  toString(): string {
    return PRINTED_SECRET;
  }

  toJSON(): string {
    return PRINTED_SECRET;
  }

  [Symbol.toPrimitive](): string {
    return PRINTED_SECRET;
  }

  [inspect.custom](): string {
    return PRINTED_SECRET;
  }

  /** True for a real Secret; an object that only has its prototype, or looks like one, holds no value and is none. */
  static is(candidate: unknown): candidate is Secret<unknown> {
    return typeof candidate === 'object' && candidate !== null && #value in candidate;
  }
}

/** See {@link Secret.is}. */
export function isSecret(candidate: unknown): candidate is Secret<unknown> {
  return Secret.is(candidate);
}
