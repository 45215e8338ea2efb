import type * as z from 'zod';
import { type Specification, type SpecificationInput, specificationSchema } from './specification.ts';

/** A specification as it was written, which is what is stored, and as it is read. */
export interface WrittenSpecification {
  readonly input: SpecificationInput;
  readonly spec: Specification;
}

/** One thing wrong with a specification: never what was written, only what is expected. */
export interface SpecificationFault {
  /** With full stops between the levels: `schedule.every`; `the whole` when it is no field. */
  readonly field: string;
  readonly message: string;
}

export type ReadSpecification =
  | { readonly ok: true; readonly written: WrittenSpecification }
  | { readonly ok: false; readonly faults: readonly SpecificationFault[] };

/** Reads what a person has written. Pure. */
export function readSpecification(value: unknown): ReadSpecification {
  const parsed = specificationSchema.safeParse(value);
  if (!parsed.success) return { ok: false, faults: parsed.error.issues.map(faultOf) };
  // Always so; said for the compiler.
  if (!isInput(value)) return { ok: false, faults: [] };
  return { ok: true, written: { input: value, spec: parsed.data } };
}

/** Known to parse; the stored form is the written one, with durations as text. */
function isInput(value: unknown): value is SpecificationInput {
  return specificationSchema.safeParse(value).success;
}

type Issue = z.core.$ZodIssue;

function faultOf(issue: Issue): SpecificationFault {
  const deepest = issue.code === 'invalid_union' ? closest(issue.errors) : undefined;
  if (deepest === undefined) return { field: fieldAt(issue.path), message: expectation(issue) };
  return { field: fieldAt([...issue.path, ...deepest.path]), message: expectation(deepest) };
}

/** Of the ways in which a value could have been right, the one that it came nearest to. */
function closest(errors: readonly (readonly Issue[])[]): Issue | undefined {
  const [nearest] = errors
    .filter((issues) => issues.every(({ code }) => code !== 'unrecognized_keys'))
    .toSorted((a, b) => b.length - a.length);
  return nearest?.[0];
}

function fieldAt(path: readonly PropertyKey[]): string {
  return path.length === 0 ? 'the whole' : path.map(String).join('.');
}

function expectation(issue: Issue): string {
  const { message } = issue;
  if (issue.code === 'invalid_type' && message.endsWith('received undefined')) {
    return `is missing; expected ${issue.expected}`;
  }
  return message.replace(/^Invalid input: /, '');
}
