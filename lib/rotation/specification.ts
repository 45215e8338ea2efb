import * as z from 'zod';
import { kinds } from './rotators/kinds.ts';

const [first, ...others] = Object.values(kinds).map(({ schema }) => schema);
if (first === undefined) throw new TypeError('There is no kind of managed secret.');

/** What a person writes to have a secret managed, one shape for each kind. Durations are read as milliseconds. */
export const specificationSchema = z
  .discriminatedUnion('kind', [first, ...others])
  .refine((spec) => spec.deadline >= spec.grace, {
    path: ['deadline'],
    message: 'expected at least as long as grace',
  });
export type Specification = z.infer<typeof specificationSchema>;
/** The same before parsing: as it is stored, with durations as text. */
export type SpecificationInput = z.input<typeof specificationSchema>;
