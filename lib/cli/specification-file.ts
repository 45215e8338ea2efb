import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { codeOf, LeasekeeperError } from '../errors.ts';
import { readSpecification, type WrittenSpecification } from '../rotation/specification-faults.ts';

export interface SpecificationSource {
  /** For messages. */
  readonly name: string;
  readonly text: () => Promise<string>;
}

/**
 * Reads managed secrets from a JSON or YAML file: one, a list, or several YAML documents. All are checked before any is returned.
 * Throws `specification_unreadable`, `specification_invalid`, naming each field and what is expected.
 */
export async function readSpecifications(
  from: string | SpecificationSource,
): Promise<readonly WrittenSpecification[]> {
  const { name: file, text } =
    typeof from === 'string' ? { name: from, text: () => readFile(from, 'utf8') } : from;
  const values = parseValues(await readText(text, file), file);
  if (values.length === 0) throw unreadable(file, 'holds no specification');
  const results = values.map((value) => ({ value, read: readSpecification(value) }));
  const faults = results.flatMap(({ value, read }, index) =>
    read.ok ? [] : read.faults.map(({ field, message }) => `${labelOf(value, index)}: ${field}: ${message}`),
  );
  const written = results.flatMap(({ read }) => (read.ok ? [read.written] : []));
  const names = written.map(({ spec }) => spec.name);
  for (const name of new Set(names.filter((one, index) => names.indexOf(one) !== index))) {
    faults.push(`${name}: name: stands there more than once`);
  }
  if (faults.length > 0) throw invalid(file, faults);
  return written;
}

async function readText(text: () => Promise<string>, file: string): Promise<string> {
  try {
    return await text();
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
