import type * as z from 'zod';
import { RequestError } from '../access/problem.ts';
import type { HttpRequest } from './http-function.ts';

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
