import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import * as z from 'zod';
import type { CallerProof } from '../access/callers.ts';
import { type Problem, problemOf, RequestError } from '../access/problem.ts';
import type { Logger } from '../telemetry/log.ts';
import { Secret } from '../telemetry/secret.ts';

/** One request, as API Gateway's HTTP API hands it over (payload format 2.0). */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  /** Undefined when there is none; JSON is not yet parsed. */
  readonly body: string | undefined;
  readonly requestId: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

const eventSchema = z.object({
  rawPath: z.string(),
  headers: z.record(z.string(), z.string().optional()).default({}),
  pathParameters: z.record(z.string(), z.string().optional()).nullish(),
  queryStringParameters: z.record(z.string(), z.string().optional()).nullish(),
  body: z.string().nullish(),
  isBase64Encoded: z.boolean().default(false),
  requestContext: z.object({ requestId: z.string(), http: z.object({ method: z.string() }) }),
});

const LARGEST_BODY_BYTES = 64 * 1024;

/** Answers are never cached on the way, and a browser that gets one does nothing with it. */
const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'",
  'strict-transport-security': 'max-age=63072000',
};

/** Told of every answer, for logs and audit: nothing of body or headers. */
export type OnAnswer = (answer: {
  readonly request: HttpRequest;
  readonly status: number;
  readonly error?: unknown;
}) => void;

/** Has every failure of ours in the log, with the request id that the caller was told. */
export function failuresTo(logger: Pick<Logger, 'error'>): OnAnswer {
  return ({ request, status, error }) => {
    if (status >= 500) logger.error({ err: error, request_id: request.requestId, status }, 'request failed');
  };
}

/** A route of an HTTP function: parses the event, and answers what is thrown as a problem document (RFC 9457). */
export function httpRoute(
  handle: (request: HttpRequest) => Promise<HttpAnswer>,
  onAnswer: OnAnswer = () => {},
) {
  return async (event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> => {
    const request = requestIn(event);
    try {
      if (Buffer.byteLength(request.body ?? '') > LARGEST_BODY_BYTES) throw tooLarge();
      const answer = await handle(request);
      onAnswer({ request, status: answer.status });
      return answerOf(answer, request.requestId);
    } catch (error) {
      const problem = problemOf(error);
      onAnswer({ request, status: problem.status, error });
      return problemAnswer(problem, request.requestId);
    }
  };
}

function requestIn(event: unknown): HttpRequest {
  const parsed = eventSchema.parse(event);
  const body = parsed.body ?? undefined;
  return {
    method: parsed.requestContext.http.method,
    path: parsed.rawPath,
    parameters: defined(parsed.pathParameters ?? {}),
    query: defined(parsed.queryStringParameters ?? {}),
    headers: defined(parsed.headers),
    body: body !== undefined && parsed.isBase64Encoded ? Buffer.from(body, 'base64').toString() : body,
    requestId: parsed.requestContext.requestId,
  };
}

function defined(record: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(record).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return Object.fromEntries(entries);
}

function answerOf(answer: HttpAnswer, requestId: string): APIGatewayProxyStructuredResultV2 {
  return {
    statusCode: answer.status,
    headers: {
      ...SECURITY_HEADERS,
      'x-request-id': requestId,
      ...(answer.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...answer.headers,
    },
    ...(answer.body === undefined ? {} : { body: JSON.stringify(answer.body) }),
  };
}

/** A problem as an answer; also for what is refused before any route is reached. */
export function problemAnswer(problem: Problem, requestId: string): APIGatewayProxyStructuredResultV2 {
  const { retryAfterSeconds, ...document } = problem;
  return answerOf(
    {
      status: problem.status,
      headers: {
        'content-type': 'application/problem+json',
        ...(problem.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
        ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
      },
      body: { ...document, request_id: requestId },
    },
    requestId,
  );
}

/** The JSON body by a schema. Throws RequestError `body_not_json` or `body_invalid`, naming fields and no values. */
export function bodyOf<T extends z.ZodType>(schema: T, request: HttpRequest): z.infer<T> {
  let json: unknown;
  try {
    json = JSON.parse(request.body ?? '');
  } catch {
    throw new RequestError(
      400,
      'body_not_json',
      'The body is not JSON.',
      'Send a JSON object with content-type application/json.',
    );
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`);
  throw new RequestError(
    422,
    'body_invalid',
    `The body will not do: ${faults.join('; ')}.`,
    'See docs/architecture.md, "HTTP".',
  );
}

/**
 * Who asks: `Authorization: Bearer <service account token>` with `X-Vault-Role`, or `X-Vault-Token`. Throws RequestError
 * `caller_missing` (401) or `role_missing` (400).
 */
export function proofIn(request: HttpRequest): CallerProof {
  const token = request.headers['x-vault-token'];
  if (token !== undefined && token !== '') return { kind: 'token', token: new Secret(token) };
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (bearer === undefined) {
    throw new RequestError(
      401,
      'caller_missing',
      'The request does not say who asks.',
      'Send a service account token as `Authorization: Bearer …` with `X-Vault-Role`, or a Vault token as `X-Vault-Token`.',
    );
  }
  const role = request.headers['x-vault-role'];
  if (role === undefined || !/^[\w.-]{1,128}$/.test(role)) {
    throw new RequestError(
      400,
      'role_missing',
      'The request names no Vault role to log in to.',
      'Send it as `X-Vault-Role`.',
    );
  }
  return { kind: 'kubernetes', jwt: new Secret(bearer), role };
}

function tooLarge(): RequestError {
  return new RequestError(413, 'body_too_large', 'The body is larger than 64 KiB.');
}

/** The answer to a method and path that no route has. */
export function noRoute({
  method,
  path,
}: {
  readonly method: string;
  readonly path: string;
}): APIGatewayProxyStructuredResultV2 {
  const error = new RequestError(
    404,
    'route_unknown',
    `There is no ${method} ${path}.`,
    'docs/architecture.md, "HTTP", lists the routes.',
  );
  return problemAnswer(problemOf(error), 'none');
}
