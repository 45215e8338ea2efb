import httpRouter, { type Method } from '@middy/http-router';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import * as z from 'zod';
import { type Problem, problemOf, RequestError } from '../access/problem.ts';
import type { Logger } from '../telemetry/log.ts';
import { IDENTIFIER, logFields, withLogFields } from '../telemetry/log-fields.ts';
import { traceIdInTraceparent } from '../telemetry/trace-id.ts';
import { checkPathLength, unrouted } from './route-table.ts';

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
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is; `headers` then say what it is. */
  readonly text?: string;
}

/** It goes into headers and log lines. */
const requestIdSchema = z.string().regex(IDENTIFIER);

const eventSchema = z.object({
  version: z.literal('2.0'),
  rawPath: z.string().min(1),
  headers: z.record(z.string(), z.string().optional()).default({}),
  pathParameters: z.record(z.string(), z.string().optional()).nullish(),
  queryStringParameters: z.record(z.string(), z.string().optional()).nullish(),
  body: z.string().nullish(),
  isBase64Encoded: z.boolean().default(false),
  requestContext: z.object({ requestId: requestIdSchema, http: z.object({ method: z.string().min(1) }) }),
});

const LARGEST_BODY_BYTES = 64 * 1024;

/**
 * Answers are never cached on the way, and a browser that gets one does nothing with it: what the OWASP REST Security Cheat Sheet,
 * "Security Headers", lists. `frame-ancestors` is not covered by `default-src` (CSP Level 3, 6.4.2).
 */
const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=63072000; includeSubDomains',
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
    return withLogFields(fieldsOf(request), async () => {
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
    });
  };
}

/** The trace is the runtime's own; where that has none, the caller's, who may say what they like. */
function fieldsOf({ requestId, headers }: HttpRequest) {
  const trace = logFields().trace_id ?? traceIdInTraceparent(headers.traceparent);
  return { request_id: requestId, trace_id: trace };
}

interface HttpRouteEntry {
  readonly method: Method;
  readonly path: string;
  readonly handler: (event: APIGatewayProxyEventV2) => Promise<APIGatewayProxyStructuredResultV2>;
}

/** The handler of an HTTP function: its routes, and a problem document for what none of them takes, or what is no HTTP event. */
export function routed(routes: readonly HttpRouteEntry[]) {
  const router = httpRouter<APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2>({
    routes: [...routes],
    notFoundResponse: (asked) => {
      throw unrouted(asked);
    },
  });
  return async (event: APIGatewayProxyEventV2, context: Context) => {
    try {
      checkPathLength(requestIn(event).path);
      return await router(event, context);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return problemAnswer(problemOf(error), idIn(event));
    }
  };
}

const identifiedSchema = z.object({ requestContext: z.object({ requestId: requestIdSchema }) });

/** The id of a request of which nothing else may be known. */
function idIn(event: unknown): string {
  const parsed = identifiedSchema.safeParse(event);
  return parsed.success ? parsed.data.requestContext.requestId : 'none';
}

/** Throws RequestError `request_malformed`. */
function requestIn(event: unknown): HttpRequest {
  const { success, data: parsed } = eventSchema.safeParse(event);
  if (!success) throw malformed();
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

function malformed(): RequestError {
  return new RequestError(
    400,
    'request_malformed',
    'What the function was called with is no HTTP request.',
    'Call it through an HTTP API with payload format 2.0.',
  );
}

function defined(record: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(record).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return Object.fromEntries(entries);
}

function answerOf(answer: HttpAnswer, requestId: string): APIGatewayProxyStructuredResultV2 {
  const body = answer.text ?? (answer.body === undefined ? undefined : JSON.stringify(answer.body));
  return {
    statusCode: answer.status,
    headers: {
      ...SECURITY_HEADERS,
      'x-request-id': requestId,
      ...(answer.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...answer.headers,
    },
    ...(body === undefined ? {} : { body }),
  };
}

/** A problem as an answer; also for what is refused before any route is reached. */
export function problemAnswer(problem: Problem, requestId: string): APIGatewayProxyStructuredResultV2 {
  const { retryAfterSeconds, allow, ...document } = problem;
  return answerOf(
    {
      status: problem.status,
      headers: {
        'content-type': 'application/problem+json',
        ...(problem.status === 401 ? { 'www-authenticate': 'Bearer' } : {}),
        ...(allow === undefined ? {} : { allow: allow.join(', ') }),
        ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
      },
      body: { ...document, request_id: requestId },
    },
    requestId,
  );
}

function tooLarge(): RequestError {
  return new RequestError(413, 'body_too_large', 'The body is larger than 64 KiB.');
}
