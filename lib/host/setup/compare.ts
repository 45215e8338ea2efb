import { isDeepStrictEqual } from 'node:util';
import { Secret } from '../../telemetry/secret.ts';
import type { ReadBack, SetupValue } from './step.ts';

/** One field that is not as it should be. Holds no secret: secret fields are never read back. */
export interface Difference {
  readonly field: string;
  readonly there: string;
  readonly wanted: string;
}

export type Comparison =
  | { readonly kind: 'missing' }
  | { readonly kind: 'same' }
  | { readonly kind: 'different'; readonly differences: readonly Difference[] };

/** What an answer to a plan's read says. `body` is undefined when Vault answered that there is nothing. Pure. */
export function compare(read: ReadBack, body: unknown): Comparison {
  const there = valueAt(body, read.at);
  if (there === undefined || there === null) return { kind: 'missing' };
  const differences = differencesIn(read, there);
  if (differences.length === 0) return { kind: 'same' };
  if (read.factory !== undefined && isAsMade(read.factory, there)) return { kind: 'missing' };
  return { kind: 'different', differences };
}

/** Members of a tolerated list that are there and not wanted: an update keeps them. */
export function toleratedMembers(read: ReadBack, body: unknown): readonly string[] {
  if (read.tolerates === undefined) return [];
  const { field, prefix } = read.tolerates;
  const list = valueAt(body, [...read.at, field]);
  const members = Array.isArray(list) ? list.filter((one) => typeof one === 'string') : [];
  return members.filter((one) => one.startsWith(prefix) && !isWanted(read, field, one));
}

function isWanted(read: ReadBack, field: string, member: string): boolean {
  const wanted = read.wanted[field];
  return Array.isArray(wanted) && wanted.includes(member);
}

function differencesIn(read: ReadBack, there: unknown): readonly Difference[] {
  return Object.entries(read.wanted).flatMap(([field, wanted]) => {
    const found = withoutTolerated(read, field, valueAt(there, [field]));
    if (isSame(wanted, found)) return [];
    return [{ field, there: shown(found), wanted: shown(wanted) }];
  });
}

function withoutTolerated(read: ReadBack, field: string, value: unknown): unknown {
  const prefix = read.tolerates?.field === field ? read.tolerates.prefix : undefined;
  if (prefix === undefined || !Array.isArray(value)) return value;
  return value.filter(
    (one) => typeof one !== 'string' || !one.startsWith(prefix) || isWanted(read, field, one),
  );
}

function isAsMade(factory: Readonly<Record<string, SetupValue>>, there: unknown): boolean {
  return Object.entries(factory).every(([field, value]) => isSame(value, valueAt(there, [field])));
}

/** Lists are sets, objects need only the wanted fields, and Vault leaves out or nulls what is empty. */
function isSame(wanted: SetupValue | undefined, found: unknown): boolean {
  if (isEmpty(wanted)) return isEmpty(found);
  if (Array.isArray(wanted)) {
    return Array.isArray(found) && isDeepStrictEqual(sorted(wanted), sorted(found));
  }
  if (typeof wanted === 'object' && wanted !== null && !Secret.is(wanted)) {
    return Object.entries(wanted).every(([key, value]) => isSame(value, valueAt(found, [key])));
  }
  return wanted === found;
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === 0 || value === false) return true;
  return Array.isArray(value) && value.length === 0;
}

function sorted(list: readonly unknown[]): readonly unknown[] {
  return [...list].sort((a, b) => (String(a) < String(b) ? -1 : 1));
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing');
}

function valueAt(value: unknown, keys: readonly string[]): unknown {
  let current = value;
  for (const key of keys) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = Object.entries(current).find(([name]) => name === key)?.[1];
  }
  return current;
}
