import type * as z from 'zod';
import { RequestError } from '../access/problem.ts';
import type { HttpRequest } from './http-function.ts';

const DEEPEST = 8;
const MOST_KEYS = 200;
/** Beyond what 64 KiB of JSON can hold: only the aliases of YAML make more of it. */
const MOST_VALUES = 65_536;

/**
 * Types that a JSON body may come with. `curl -d` says `application/x-www-form-urlencoded` unless it is told otherwise. To take that is
 * safe here: a caller proves itself with headers of its own and never with a cookie, so no form on some page can ask in its name.
 */
const JSON_TYPES = /^application\/(json|[\w.-]+\+json|x-www-form-urlencoded)$/;

/** The type of a body without its parameters, in lower case; undefined when it is not said. */
export function mediaTypeOf({ headers }: Pick<HttpRequest, 'headers'>): string | undefined {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  return type === '' ? undefined : type;
}

/**
 * The JSON body by a schema. Throws RequestError `content_type_unsupported`, `body_not_json`, `body_too_deep` or `body_invalid`, naming
 * fields and no values.
 */
export function bodyOf<T extends z.ZodType>(schema: T, request: HttpRequest): z.infer<T> {
  const parsed = schema.safeParse(jsonIn(request, 'Send a JSON object with content-type application/json.'));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`);
  throw new RequestError(
    422,
    'body_invalid',
    `The body will not do: ${faults.join('; ')}.`,
    'See docs/architecture.md, "HTTP".',
  );
}

/** Throws `content_type_unsupported` (415), `body_not_json` (400) with `hint`, `body_too_deep` (422). */
export function jsonIn(request: Pick<HttpRequest, 'headers' | 'body'>, hint: string): unknown {
  const type = mediaTypeOf(request);
  if (request.body !== undefined && type !== undefined && !JSON_TYPES.test(type)) {
    throw new RequestError(415, 'content_type_unsupported', 'The body is not of a type that is read.', hint);
  }
  let json: unknown;
  try {
    json = JSON.parse(request.body ?? '');
  } catch {
    throw new RequestError(400, 'body_not_json', 'The body is not JSON.', hint);
  }
  checkShape(json);
  return json;
}

/** Before any schema looks at it. Throws `body_too_deep` (422). Goes by its own stack: what it guards against is depth. */
export function checkShape(value: unknown): void {
  let keys = 0;
  let values = 0;
  const left = [{ value, depth: 0 }];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (typeof next.value !== 'object' || next.value === null) continue;
    const inside: readonly unknown[] = Object.values(next.value);
    if (!Array.isArray(next.value)) keys += inside.length;
    values += inside.length;
    const depth = next.depth + 1;
    if (depth > DEEPEST || keys > MOST_KEYS || values > MOST_VALUES) throw tooDeep();
    for (const one of inside) left.push({ value: one, depth });
  }
}

function tooDeep(): RequestError {
  return new RequestError(
    422,
    'body_too_deep',
    `The body has more than ${DEEPEST} levels or ${MOST_KEYS} keys.`,
    'Send less in one request.',
  );
}
