import type * as z from 'zod';
import { Secret } from '../../../telemetry/secret.ts';
import { durationSchema } from '../../duration.ts';
import type { DeclaredRequest } from './declared-request.ts';
import { fillText, type PlaceholderValues, placeholdersIn, unusable } from './placeholders.ts';

/** A request that is ready to be sent. It may be printed: what it holds of secrets is wrapped. */
export interface FilledRequest {
  readonly method: DeclaredRequest['method'];
  /** With the port, where the URL names one. */
  readonly host: string;
  readonly content: Secret<RequestContent>;
  /** Undefined: any 2xx. */
  readonly expectStatus: readonly number[] | undefined;
  readonly timeoutMs: number;
}

export interface RequestContent {
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
  /** By lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

const DEFAULT_TIMEOUT = '15s';

/**
 * Puts values in place of placeholders, each encoded for where it stands. Throws `http_placeholder_unknown`, and `http_value_unusable`
 * for what cannot stand there: nothing may end a header, or climb in a path.
 */
export function fillRequest(request: DeclaredRequest, values: PlaceholderValues): FilledRequest {
  const url = new URL(fillUrl(request.url, values));
  const content: RequestContent = {
    origin: url.origin,
    path: url.pathname + url.search,
    headers: headersOf(request, values),
    body: bodyOf(request, values),
  };
  return {
    method: request.method,
    host: url.host,
    content: new Secret(content),
    expectStatus: request.expect_status,
    timeoutMs: durationSchema.parse(request.timeout ?? DEFAULT_TIMEOUT),
  };
}

function fillUrl(url: string, values: PlaceholderValues): string {
  const end = url.includes('?') ? url.indexOf('?') : url.length;
  const segments = url
    .slice(0, end)
    .split('/')
    .map((segment) => fillSegment(segment, values));
  return segments.join('/') + fillText(url.slice(end), values, encodeURIComponent);
}

/** URL parsers take a segment of dots, percent-encoded ones too, out of a path, and `..` the segment before it as well. */
function fillSegment(segment: string, values: PlaceholderValues): string {
  const filled = fillText(segment, values, encodeURIComponent);
  const [name] = placeholdersIn(segment);
  if (name !== undefined && /^(?:\.|%2e){1,2}$/i.test(filled)) {
    throw unusable(name, 'it would climb in the path');
  }
  return filled;
}

function headersOf(request: DeclaredRequest, values: PlaceholderValues): Record<string, string> {
  const own = Object.entries(request.headers ?? {}).map(([name, text]) => [
    name.toLowerCase(),
    fillText(text, values, asHeader),
  ]);
  return {
    accept: 'application/json',
    'user-agent': 'leasekeeper',
    ...(request.body === undefined ? {} : { 'content-type': contentTypeOf(request.body) }),
    ...Object.fromEntries(own),
  };
}

/** RFC 9110, section 5.5: a line end would begin a header of the value's own. */
function asHeader(value: string, name: string): string {
  if (!/^[\t\x20-\x7e]*$/.test(value)) throw unusable(name, 'a header takes one line of ASCII');
  return value;
}

type Body = NonNullable<DeclaredRequest['body']>;

function contentTypeOf(body: Body): string {
  return 'form' in body ? 'application/x-www-form-urlencoded' : 'application/json';
}

function bodyOf({ body }: DeclaredRequest, values: PlaceholderValues): string | undefined {
  if (body === undefined) return undefined;
  if ('json' in body) return JSON.stringify(fillJson(body.json, values));
  const fields = Object.entries(body.form).map(([name, text]): [string, string] => [
    name,
    fillText(text, values),
  ]);
  return new URLSearchParams(fields).toString();
}

type Json = z.infer<ReturnType<typeof z.json>>;

function fillJson(json: Json, values: PlaceholderValues): Json {
  if (typeof json === 'string') return fillText(json, values);
  if (Array.isArray(json)) return json.map((one) => fillJson(one, values));
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, fillJson(value, values)]));
}
