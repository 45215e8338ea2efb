import * as z from 'zod';
import { RequestError } from '../access/problem.ts';
import type { HttpRequest } from './http-function.ts';

const DEFAULT_PAGE = 100;
const LARGEST_PAGE = 500;

/** `limit` of what comes in pages. */
export const limitParameter = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, `expected a whole number from 1 to ${LARGEST_PAGE}`)
  .transform(Number)
  .refine((limit) => limit <= LARGEST_PAGE, `expected at most ${LARGEST_PAGE}`)
  .default(DEFAULT_PAGE)
  .meta({ type: 'integer', minimum: 1, maximum: LARGEST_PAGE, default: DEFAULT_PAGE, pattern: undefined });

/** The same in a body. */
export const limitField = z
  .int()
  .min(1, 'expected at least 1')
  .max(LARGEST_PAGE, `expected at most ${LARGEST_PAGE}`)
  .default(DEFAULT_PAGE);

/** The query parameters by a schema; others are left alone. Throws RequestError `parameter_invalid`, naming those at fault. */
export function queryOf<T extends z.ZodType>(schema: T, request: HttpRequest): z.infer<T> {
  const parsed = schema.safeParse(request.query);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new RequestError(
    400,
    'parameter_invalid',
    `The query parameters will not do: ${faults.join('; ')}.`,
    'See docs/architecture.md, "HTTP".',
  );
}
