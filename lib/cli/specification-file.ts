import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { codeOf, LeasekeeperError } from '../errors.ts';
import {
  type Specification,
  type SpecificationInput,
  specificationSchema,
} from '../rotation/specification.ts';

/** One specification of a file: as it was written, which is what is stored, and as it is read. */
export interface WrittenSpecification {
  readonly input: SpecificationInput;
  readonly spec: Specification;
}

/**
 * Reads managed secrets from a JSON or YAML file: one, a list, or several YAML documents. All are checked before any is returned.
 * Throws `specification_unreadable`, `specification_invalid`, naming each field and what is expected.
 */
export async function readSpecifications(file: string): Promise<readonly WrittenSpecification[]> {
  const values = parseValues(await readText(file), file);
  if (values.length === 0) throw unreadable(file, 'holds no specification');
  const results = values.map((value) => ({ value, parsed: specificationSchema.safeParse(value) }));
  const faults = results.flatMap(({ value, parsed }, index) =>
    parsed.success ? [] : parsed.error.issues.map((issue) => `${labelOf(value, index)}: ${describe(issue)}`),
  );
  const names = results.flatMap(({ parsed }) => (parsed.success ? [parsed.data.name] : []));
  for (const name of new Set(names.filter((one, index) => names.indexOf(one) !== index))) {
    faults.push(`${name}: name: stands there more than once`);
  }
  if (faults.length > 0) throw invalid(file, faults);
  return results.flatMap(({ value, parsed }) =>
    parsed.success && isInput(value) ? [{ input: value, spec: parsed.data }] : [],
  );
}

/** Known to parse; the stored form is the written one, with durations as text. */
function isInput(value: unknown): value is SpecificationInput {
  return specificationSchema.safeParse(value).success;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw unreadable(file, `cannot be read (${codeOf(error)})`);
  }
}

/** JSON is YAML, so one parser does for both. */
function parseValues(text: string, file: string): readonly unknown[] {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document): unknown[] => {
    const [error] = document.errors;
    if (error !== undefined) {
      const line = error.linePos?.[0].line;
      throw unreadable(file, `is neither JSON nor YAML${line === undefined ? '' : ` at line ${line}`}`);
    }
    const value: unknown = document.toJS();
    if (value === null || value === undefined) return [];
    return Array.isArray(value) ? value : [value];
  });
}

function labelOf(value: unknown, index: number): string {
  const named = z.object({ name: z.string() }).safeParse(value);
  return named.success ? named.data.name : `specification ${index + 1}`;
}

type Issue = z.core.$ZodIssue;

function describe(issue: Issue): string {
  const deepest = issue.code === 'invalid_union' ? closest(issue.errors) : undefined;
  if (deepest !== undefined) {
    return `${field([...issue.path, ...deepest.path])}: ${expectation(deepest)}`;
  }
  return `${field(issue.path)}: ${expectation(issue)}`;
}

/** Of the ways in which a value could have been right, the one that it came nearest to. */
function closest(errors: readonly (readonly Issue[])[]): Issue | undefined {
  const [nearest] = errors
    .filter((issues) => issues.every(({ code }) => code !== 'unrecognized_keys'))
    .toSorted((a, b) => b.length - a.length);
  return nearest?.[0];
}

function field(path: readonly PropertyKey[]): string {
  return path.length === 0 ? 'the whole' : path.map(String).join('.');
}

function expectation(issue: Issue): string {
  const { message } = issue;
  if (issue.code === 'invalid_type' && message.endsWith('received undefined')) {
    return `is missing; expected ${issue.expected}`;
  }
  return message.replace(/^Invalid input: /, '');
}

function unreadable(file: string, what: string): LeasekeeperError {
  return new LeasekeeperError('specification_unreadable', `${file} ${what}.`, {
    hint: 'Give a JSON or YAML file with one managed secret, or a list of them.',
  });
}

function invalid(file: string, faults: readonly string[]): LeasekeeperError {
  return new LeasekeeperError('specification_invalid', `${file} will not do:\n  ${faults.join('\n  ')}`, {
    hint: 'Correct the fields named. Nothing was changed.',
  });
}
