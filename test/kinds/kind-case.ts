import type { Handle, Value } from '../../lib/rotation/rotators/rotator.ts';
import type { SpecificationInput } from '../../lib/rotation/specification.ts';
import type { World } from '../support/world.ts';

/** One kind of managed secret as the suites that every kind passes see it. */
export interface KindCase {
  readonly kind: string;
  /** Whether the old value still works while the new one is current already. */
  readonly overlaps: boolean;
  /** Whether a value stops working when its generation is retired. */
  readonly ends: boolean;
  /** Makes what secrets of this kind need in a world: engines, roles, a server that plays a service. */
  readonly prepare: (world: World) => Promise<PreparedKind>;
}

export interface PreparedKind {
  /**
   * The specification of a secret of that name, once what belongs to that secret alone is there (its static roles, its key). Without a
   * grace, and with attempts that end within seconds.
   */
  specify(name: string): Promise<SpecificationInput>;
  /** Before each rotation that somebody asks for: a person supplies a value. */
  beforeRotation?(name: string): Promise<void>;
  /** Whether the generation works for real. `value` is what is published; undefined for kinds that publish nothing. */
  works(name: string, value: Value | undefined): Promise<boolean>;
  /** Every credential of this kind that lives in this world, by an id; of which those that a state knows are named by `idOf`. */
  live(): Promise<readonly string[]>;
  idOf?(handle: Handle): string | undefined;
  /** Changes something behind our back so that the current generation must be replaced. Returns the `what` of `secret.drift`. */
  disturb?(name: string, handle: Handle): Promise<string>;
  close(): Promise<void>;
}
