import type * as z from 'zod';
import { subscriptionIdSchema } from '../../notices/subscription.ts';
import { nameSchema } from '../../rotation/name.ts';
import { PLAIN_PATH_JSON } from '../../vault/addressing.ts';
import type { RouteKey } from '../route-table.ts';
import { HEADERS, type HeaderName, NAMED, namedSchemas, PARAMETERS, SECURITY_SCHEMES } from './components.ts';
import { leaseOperations } from './describe-leases.ts';
import { managedOperations } from './describe-managed.ts';
import { restOperations } from './describe-rest.ts';
import { subscriptionOperations } from './describe-subscriptions.ts';
import { type JsonSchema, jsonSchemaOf, referenceTo } from './json-schema.ts';
import {
  ANYWHERE,
  type DescribedAnswer,
  type DescribedBody,
  type Operation,
  type ProblemCode,
  statusOfProblem,
  WITH_PARAMETER,
} from './operation.ts';

/** All routes that there are. */
export const OPERATIONS: Readonly<Record<RouteKey, Operation>> = {
  ...leaseOperations,
  ...managedOperations,
  ...subscriptionOperations,
  ...restOperations,
};

/** An OpenAPI document, as far as its readers here must know it. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly [field: string]: unknown;
}

/** The description of all routes (OpenAPI Specification 3.1.1). docs/openapi.json holds what this returns. Pure. */
export function openApi(): OpenApiDocument {
  const paths: Record<string, Record<string, unknown>> = {};
  const responses = new SharedResponses();
  for (const [route, operation] of Object.entries(OPERATIONS)) {
    const [method = '', template = ''] = route.split(' ');
    const path = pathOf(template);
    paths[path] = { ...paths[path], [method.toLowerCase()]: described(operation, path, responses) };
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Leasekeeper',
      version: '1',
      description:
        'Keeps leases alive, rotates secrets, and hands out short-lived ones. Each request is made in Vault with its caller’s own rights.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'Where this document was read.' }],
    paths,
    components: {
      schemas: namedSchemas(),
      responses: responses.all(),
      headers: HEADERS,
      parameters: PARAMETERS,
      securitySchemes: SECURITY_SCHEMES,
    },
  };
}

/** The path of a route as OpenAPI writes it, which has no word for a parameter with slashes in it. */
function pathOf(template: string): string {
  return template.replace('{proxy+}', '{path}');
}

/** The codes that an operation at a path may answer, by status. */
export function problemsOf(operation: Operation, path: string): ReadonlyMap<number, readonly ProblemCode[]> {
  const codes = [...operation.problems, ...ANYWHERE, ...(path.includes('{') ? WITH_PARAMETER : [])];
  return Map.groupBy(new Set(codes), statusOfProblem);
}

function described(operation: Operation, path: string, responses: SharedResponses) {
  const { id, tag, summary, description, open, body } = operation;
  const problems = [...problemsOf(operation, path)].map(([status, codes]) => [
    status,
    responses.of(status, codes),
  ]);
  const answers = Object.entries(operation.answers).map(([status, answer]) => [status, answerOf(answer)]);
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    security: open ? [] : [{ jwt: [], role: [] }, { token: [] }],
    parameters: [...pathParameters(path), ...queryParameters(operation), ...headerParameters(operation)],
    ...(body === undefined ? {} : { requestBody: requestBodyOf(body) }),
    responses: Object.fromEntries([...problems, ...answers]),
  };
}

/** Many routes refuse the same for the same reasons: each set of codes is written once. */
class SharedResponses {
  readonly #names = new Map<string, string>();
  readonly #responses = new Map<string, unknown>();

  of(status: number, codes: readonly ProblemCode[]): JsonSchema {
    const key = codes.toSorted().join();
    const others = [...this.#names.values()].filter((name) => name.startsWith(`Problem${status}`)).length;
    const name = this.#names.get(key) ?? `Problem${status}${others === 0 ? '' : `-${others + 1}`}`;
    this.#names.set(key, name);
    this.#responses.set(name, problemResponse(status, codes));
    return { $ref: `#/components/responses/${name}` };
  }

  all() {
    return Object.fromEntries(this.#responses);
  }
}

function schemaOf(schema: z.ZodType, open: boolean): JsonSchema {
  const name = NAMED.get(schema);
  return name === undefined ? jsonSchemaOf(schema, { open, named: NAMED }) : referenceTo(name);
}

function requestBodyOf({ schema, also = [], example }: DescribedBody) {
  const content = { schema: schemaOf(schema, false), example };
  return {
    required: true,
    content: Object.fromEntries(['application/json', ...also].map((type) => [type, content])),
  };
}

function answerOf({ description, schema, type = 'application/json', headers, example }: DescribedAnswer) {
  const told = { description, headers: headersOf(headers) };
  if (schema === undefined) return told;
  const content = { schema: schemaOf(schema, true), ...(example === undefined ? {} : { example }) };
  return { ...told, content: { [type]: content } };
}

const HEADERS_OF: Readonly<Record<number, readonly HeaderName[]>> = {
  401: ['www-authenticate'],
  405: ['allow'],
  429: ['retry-after'],
  503: ['retry-after'],
};

function problemResponse(status: number, codes: readonly ProblemCode[]) {
  // What is wrong with the state in Vault has codes of its own.
  const code = status === 500 ? { type: 'string' } : { enum: codes };
  return {
    description: codes.map((one) => `\`${one}\``).join(', '),
    headers: headersOf(HEADERS_OF[status]),
    content: {
      'application/problem+json': { schema: { allOf: [referenceTo('Problem'), { properties: { code } }] } },
    },
  };
}

function headersOf(more: readonly HeaderName[] = []) {
  const names: readonly HeaderName[] = ['x-request-id', 'cache-control', 'x-content-type-options', ...more];
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

function pathParameters(path: string) {
  const request = { open: false, named: NAMED };
  const known: Readonly<Record<string, object>> = {
    name: { schema: jsonSchemaOf(nameSchema, request), example: 'api-gateway-database' },
    id: {
      schema: jsonSchemaOf(subscriptionIdSchema, request),
      example: 'api-gateway:01KAM5Q8W3Y6Z2T4R7N9P0B1CD',
    },
    type: { schema: { type: 'string', minLength: 1 }, example: 'secret.rotated' },
    path: { schema: { type: 'string', ...PLAIN_PATH_JSON }, example: 'nvidia/api-key' },
  };
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    ...known[name],
  }));
}

function queryParameters({ query }: Operation) {
  return Object.entries(query?.shape ?? {}).map(([name, field]) => ({
    name,
    in: 'query',
    // Without one that has no default nothing is done.
    required: !field.safeParse(undefined).success,
    schema: jsonSchemaOf(field, { open: false, named: NAMED }),
  }));
}

function headerParameters({ headers = [], open }: Operation) {
  const names = open ? headers : [...headers, 'auth-mount'];
  return names.map((name) => ({ $ref: `#/components/parameters/${name}` }));
}
