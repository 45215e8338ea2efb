import { InvalidArgumentError } from 'commander';
import { overlapSchema } from '../notices/subscription-changes.ts';
import { durationSchema } from '../rotation/duration.ts';

/** A duration as Vault writes it, in milliseconds. */
export function milliseconds(text: string): number {
  const parsed = durationSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError('Expected a duration such as 90s, 15m or 1h30m.');
}

/** How long an old signing secret signs beside the new one, in milliseconds. */
export function overlap(text: string): number {
  const parsed = overlapSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError('Expected a duration such as 24h, of 30d at most.');
}

/** A whole number of which there may be `most`. */
export function countUpTo(most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (Number.isInteger(number) && number >= 1 && number <= most) return number;
    throw new InvalidArgumentError(`Expected a whole number from 1 to ${most}.`);
  };
}

/** Of an option that may be repeated. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
