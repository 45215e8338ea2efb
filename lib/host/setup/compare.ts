import { isDeepStrictEqual } from 'node:util';
import { Secret } from '../../telemetry/secret.ts';
import { type PolicyRule, rulesIn, withoutRules, withRules } from './policy-rules.ts';
import type { ReadBack, SetupCall, SetupStep, SetupValue, ToleratedRules } from './step.ts';

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

/** A rule for more than one path is never tolerated. */
const PLAIN_NAME = /^[\w.-]+$/;

/** What an update writes over what is there: it keeps what is tolerated. Pure. */
export function updateOf({ read, write }: Pick<SetupStep, 'read' | 'write'>, body: unknown): SetupCall {
  const there = valueAt(body, read.at);
  const changes = Object.entries(write.body).map(
    ([field, value]) => [field, keepingTolerated(read, field, value, valueAt(there, [field]))] as const,
  );
  return { ...write, body: Object.fromEntries(changes) };
}

function keepingTolerated(read: ReadBack, field: string, value: SetupValue, there: unknown): SetupValue {
  if (Array.isArray(value)) return [...value, ...toleratedMembers(read, field, there)];
  const { toleratesRules: rules } = read;
  if (rules?.field !== field || typeof value !== 'string' || typeof there !== 'string') return value;
  return withRules(value, toleratedRules(rules, there));
}

/** Members of a tolerated list that are there and not wanted. */
function toleratedMembers(read: ReadBack, field: string, list: unknown): readonly string[] {
  const prefix = read.tolerates?.field === field ? read.tolerates.prefix : undefined;
  if (prefix === undefined || !Array.isArray(list)) return [];
  const members = list.filter((one) => typeof one === 'string');
  return members.filter((one) => one.startsWith(prefix) && !isWanted(read, field, one));
}

function toleratedRules(
  { under, capabilities, except }: ToleratedRules,
  policy: string,
): readonly PolicyRule[] {
  return rulesIn(policy).filter(
    ({ path, capabilities: found }) =>
      path.startsWith(under) &&
      PLAIN_NAME.test(path.slice(under.length)) &&
      !except.includes(path) &&
      isSame(capabilities, found),
  );
}

function isWanted(read: ReadBack, field: string, member: string): boolean {
  const wanted = read.wanted[field];
  return Array.isArray(wanted) && wanted.includes(member);
}

function differencesIn(read: ReadBack, there: unknown): readonly Difference[] {
  return Object.entries(read.wanted).flatMap(([field, wanted]) => {
    const found = withoutTolerated(read, field, valueAt(there, [field]));
    if (isSame(inOrder(read, field, wanted), inOrder(read, field, found))) return [];
    return [{ field, there: shown(found), wanted: shown(wanted) }];
  });
}

function withoutTolerated(read: ReadBack, field: string, value: unknown): unknown {
  const { toleratesRules: rules } = read;
  if (rules?.field === field && typeof value === 'string') {
    const paths = toleratedRules(rules, value).map(({ path }) => path);
    return withoutRules(value, ({ path }) => paths.includes(path));
  }
  if (!Array.isArray(value)) return value;
  const tolerated = toleratedMembers(read, field, value);
  return value.filter((one) => !tolerated.includes(one));
}

/** The rules that were written by several plans stand in the order of these plans. */
function inOrder<Value>({ toleratesRules: rules }: ReadBack, field: string, value: Value): Value | string {
  if (rules?.field !== field || typeof value !== 'string') return value;
  const isOne = ({ path }: PolicyRule) => path.startsWith(rules.under);
  const sorted = rulesIn(value)
    .filter(isOne)
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return withRules(withoutRules(value, isOne), sorted);
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
