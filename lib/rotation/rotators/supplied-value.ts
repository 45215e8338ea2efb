import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';
import type { Value } from './rotator.ts';

/**
 * Values that people supply wait in the state mount at `supplied/<name>/<ulid>`, as `{value: {…}}`: one document for each, written with
 * check-and-set 0 under a name that is never used again. Their names sort by time.
 */

/** More than any secret needs; the bound of a request over HTTP. */
const LARGEST_VALUE_BYTES = 65_536;
const ULID = /^[0-9A-HJKMNP-TV-Z]{26}$/;

/** The folder of one managed secret's supplied values. */
export function suppliedFolder(name: string): string {
  return `supplied/${name}`;
}

export function suppliedPath(name: string, id: string): string {
  return `${suppliedFolder(name)}/${id}`;
}

/** The ids among what a folder lists, newest first. */
export function suppliedIds(names: readonly string[]): readonly string[] {
  return names
    .filter((name) => ULID.test(name))
    .toSorted()
    .toReversed();
}

/** The fields of a secret, as deep as they like. */
export const suppliedValueSchema = z
  .record(z.string().min(1), z.json(), { error: 'expected an object with the fields of the secret' })
  .refine((value) => Object.keys(value).length > 0, 'expected at least one field')
  .refine((value) => bytesOf(value) <= LARGEST_VALUE_BYTES, `expected at most ${LARGEST_VALUE_BYTES} bytes`)
  .refine((value) => isExact(value), 'expected numbers beyond 2^53 as text: they lose digits');

/** A document as whoever supplies a value writes it. */
export const suppliedDocumentSchema = z.strictObject({ value: suppliedValueSchema });

/** The value in a document. Throws `manual_value_invalid`, which names fields but nothing of what is in them. */
export function suppliedValueIn(data: unknown): Value {
  const parsed = suppliedDocumentSchema.safeParse(data);
  if (parsed.success) return parsed.data.value;
  const faults = parsed.error.issues.map(({ message }) => message).join('; ');
  throw new LeasekeeperError(
    'manual_value_invalid',
    `The value that was supplied cannot be used: ${faults}.`,
    {
      hint: 'Supply another.',
    },
  );
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value), 'utf8');
}

/** Vault, like every reader of JSON that keeps numbers as IEEE 754 does, would change them on the way. */
function isExact(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.values(value).every(isExact);
}
