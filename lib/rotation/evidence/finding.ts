/** `in_use`: somebody uses the old generation at this moment. `idle`: nobody does. `unknown`: it could not be asked. */
export type Finding = 'idle' | 'in_use' | 'unknown';

export interface AskedEvidence {
  /** The user of the old generation. */
  readonly username: string;
  /** The current generation, with which it is asked: the old one is left alone, and need not work any more. */
  readonly value: Readonly<Record<string, unknown>>;
}
