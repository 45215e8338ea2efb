import * as z from 'zod';
import { durationSchema } from '../../duration.ts';
import { OF_CREDENTIALS, OF_THE_CONNECTION } from '../../header-names.ts';
import {
  hasOnlyPlaceholders,
  isSecretPlaceholder,
  placeholdersIn,
  withoutPlaceholders,
} from './placeholders.ts';

const MALFORMED = 'expected every {{ to begin a placeholder such as {{key_id}} or {{auth.api_key}}';
const template = z.string().refine(hasOnlyPlaceholders, MALFORMED);
const plain = z
  .string()
  .min(1)
  .refine((text) => !text.includes('{{'), 'expected no placeholder in a name');

/** RFC 9110, section 5.6.2. */
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'expected the name of a header');
const headerValue = template.regex(/^[\t\x20-\x7e]+$/, 'expected one line of ASCII');

const LONGEST_TIMEOUT_MS = 60_000;
const timeout = z.string().refine((text) => {
  const parsed = durationSchema.safeParse(text);
  return parsed.success && parsed.data > 0 && parsed.data <= LONGEST_TIMEOUT_MS;
}, 'expected a duration such as 15s, at most 60s');

const jsonTemplate = z.json().superRefine((json, context) => {
  for (const { text, key } of textsIn(json)) {
    const ok = key ? !text.includes('{{') : hasOnlyPlaceholders(text);
    if (!ok) context.addIssue(key ? 'expected placeholders in values only, not in names' : MALFORMED);
  }
});

/** The fields of a request, without what holds between them. Parsing changes nothing in them. */
export const requestFields = {
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  /** Absolute. Placeholders may stand in path and query, where values are percent-encoded. */
  url: template,
  headers: z.record(headerName, headerValue).optional(),
  body: z
    .union([z.strictObject({ json: jsonTemplate }), z.strictObject({ form: z.record(plain, template) })], {
      error: 'expected {json: …} or {form: {name: value}}, with well-formed placeholders in values only',
    })
    .optional(),
  /** What counts as done; any 2xx when left out. */
  expect_status: z.array(z.int().min(200).max(499)).min(1).optional(),
  /** Allows a URL of http: for servers on the same machine or network. */
  insecure_http: z.boolean().optional(),
  /** To the answer's last byte; 15s when left out. */
  timeout: timeout.optional(),
};

/**
 * An HTTP request as a specification declares it, with placeholders for what changes. It may be stored and parsed again: the result is
 * the same. Secrets stand in it by name only, `{{key}}` and `{{auth.<field>}}`, and never in its URL.
 */
export const declaredRequestSchema = z.strictObject(requestFields).superRefine((request, context) => {
  const issue = (path: PropertyKey[], message: string) =>
    context.addIssue({ code: 'custom', path, message, input: request });
  const wrong = urlProblem(request.url, request.insecure_http === true);
  if (wrong !== undefined) issue(['url'], wrong);
  if (request.method === 'GET' && request.body !== undefined) issue(['body'], 'expected none with GET');
  for (const [name, message] of headerProblems(request.headers ?? {})) issue(['headers', name], message);
});
export type DeclaredRequest = z.infer<typeof declaredRequestSchema>;

/** The names of all placeholders in a request. */
export function placeholdersOf(request: DeclaredRequest): ReadonlySet<string> {
  const { body } = request;
  const inBody =
    body === undefined
      ? []
      : 'form' in body
        ? Object.values(body.form)
        : [...textsIn(body.json)].map(({ text }) => text);
  const texts = [request.url, ...Object.values(request.headers ?? {}), ...inBody];
  return new Set(texts.flatMap(placeholdersIn));
}

/** Every name and every text of a JSON value. */
function* textsIn(json: z.infer<ReturnType<typeof z.json>>): Generator<{ text: string; key: boolean }> {
  if (typeof json === 'string') yield { text: json, key: false };
  if (typeof json !== 'object' || json === null) return;
  for (const [name, value] of Object.entries(json)) {
    if (!Array.isArray(json)) yield { text: name, key: true };
    yield* textsIn(value);
  }
}

/** What is wrong with a URL, or undefined. What comes before the path decides who gets the secrets: it is fixed. */
function urlProblem(url: string, insecure: boolean): string | undefined {
  const [, scheme, authority, rest] = /^(https?):\/\/([^/?#\\]+)(.*)$/s.exec(url) ?? [];
  if (scheme === undefined || authority === undefined || rest === undefined) {
    return 'expected an absolute URL such as https://api.example.com/keys/{{key_id}}';
  }
  if (scheme === 'http' && !insecure) return 'expected https, or insecure_http: true';
  if (/[{}@%]/.test(authority)) return 'expected a host without placeholders, user name or password';
  // A URL parser drops line ends and tabs, and reads \ as /.
  if (/[^\x21-\x7e]/.test(url) || /[\\#]/.test(rest)) return 'expected visible ASCII without \\ and #';
  if (placeholdersIn(rest).some(isSecretPlaceholder)) {
    return 'expected no secret in the URL, which is logged on its way; use a header or the body';
  }
  return URL.canParse(withoutPlaceholders(url, 'x')) ? undefined : 'expected a URL';
}

function headerProblems(headers: Readonly<Record<string, string>>): [name: string, message: string][] {
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  return Object.entries(headers).flatMap(([name, value], index): [string, string][] => {
    const lower = name.toLowerCase();
    if (names.indexOf(lower) < index) return [[name, 'expected each header once']];
    if (OF_THE_CONNECTION.has(lower)) return [[name, 'expected no header of the connection']];
    // Specifications are stored and shown: a secret may stand in them by name only.
    if (OF_CREDENTIALS.has(lower) && !placeholdersIn(value).some(isSecretPlaceholder)) {
      return [[name, 'expected the secret as {{auth.<field>}}, not in plain']];
    }
    return [];
  });
}
