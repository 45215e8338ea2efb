/** `wrong`: seen, and it is the cause of a fault or will be. `unknown`: it could not be seen. */
export type Verdict = 'fine' | 'wrong' | 'unknown';

/** One point that is looked at. Of a point that is looked at for several paths, the id ends with `:<path>`. */
export interface Check {
  readonly id: string;
  /** For people. */
  readonly title: string;
}

/** What came of one check. */
export interface Finding extends Check {
  readonly verdict: Verdict;
  /** What is so, what is wrong, or why it could not be seen. No secret, no token. */
  readonly what: string;
  /** Shell commands, in order: they mend what is wrong, or show what is unknown. Empty for what is fine. */
  readonly mend: readonly string[];
}

export function fine(check: Check, what: string): Finding {
  return { ...check, verdict: 'fine', what, mend: [] };
}

export function wrong(check: Check, what: string, mend: readonly string[]): Finding {
  return { ...check, verdict: 'wrong', what, mend };
}

/** `see`: the commands that show it. */
export function unknown(check: Check, why: string, see: readonly string[] = []): Finding {
  return { ...check, verdict: 'unknown', what: why, mend: see };
}

/** The ground of a check is missing: what it needs was itself wrong. */
export function notLookedAt(check: Check, ground: string): Finding {
  return unknown(check, `not looked at: ${ground}`);
}
