import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { problemAnswer } from '../../../lib/host/openapi/answers.ts';
import { OPERATIONS, problemsOf } from '../../../lib/host/openapi/openapi.ts';

interface Described {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const routes = Object.entries(OPERATIONS).map(([route, operation]) => {
  const [method = '', path = ''] = route.split(' ');
  const pattern = path
    .replaceAll('.', '\\.')
    .replace('{proxy+}', '.+')
    .replaceAll(/\{\w+\}/g, '[^/]+');
  return { method, path, pattern: new RegExp(`^${pattern}$`), operation };
});

/** An answer, after it was held against the description of its route: every field that it has must be there. */
export function asDescribed<A extends Described>(method: string, path: string, answer: A): A {
  const route = routes.find((one) => one.method === method && one.pattern.test(path));
  // What is no route is answered by a problem document, whatever it is.
  if (route === undefined) return checked(answer, () => expectAll(problemAnswer, answer.body));
  const { operation } = route;
  const { status, body } = answer;
  const described = operation.answers[status];
  const schema = described?.schema;
  if (schema !== undefined) return checked(answer, () => expectAll(schema, body));
  if (described !== undefined) return checked(answer, () => expectNone(body));
  return checked(answer, () => {
    const { code } = expectAll(problemAnswer, body);
    const codes: readonly string[] = problemsOf(operation, route.path).get(status) ?? [];
    if (status !== 500 && !codes.includes(code)) {
      throw new Error(`${method} ${route.path} is not described to answer ${status} ${code}.`);
    }
  });
}

function checked<A extends Described>(answer: A, check: () => unknown): A {
  check();
  for (const name of ['x-request-id', 'cache-control', 'x-content-type-options', 'x-frame-options']) {
    if (answer.headers[name] === undefined) throw new Error(`An answer is without ${name}.`);
  }
  return answer;
}

/** What a schema does not name it leaves out: then more was answered than is described. */
function expectAll<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const read = schema.parse(body);
  if (isDeepStrictEqual(comparable(read), comparable(body))) return read;
  throw new Error('An answer has a field that is not described.');
}

const withSpecification = z.looseObject({ specification: z.unknown() });

/** A specification is told as it was written, and comes out of its own schema, which is strict, with durations and defaults filled in. */
function comparable(body: unknown): unknown {
  const parsed = withSpecification.safeParse(body);
  return parsed.success ? { ...parsed.data, specification: undefined } : body;
}

function expectNone(body: unknown): void {
  if (body !== undefined) throw new Error('An answer has a body that is not described.');
}
