import * as z from 'zod';
import { OF_CREDENTIALS, OF_THE_CONNECTION } from '../header-names.ts';
import { isHeaderValue, isTemplate } from './http-template.ts';
import { caSchema, loginFields, timeoutSchema } from './server-schema.ts';

const template = z.string().refine(isTemplate, 'expected placeholders such as {{api_key}}');

const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'expected the name of a header')
  .refine((name) => !OF_THE_CONNECTION.has(name.toLowerCase()), 'this header is set by itself');

const urlSchema = z
  .string()
  .regex(/^[!-~]+$/, 'expected visible ASCII')
  .refine((text) => !text.includes('{{'), 'no placeholders: URLs end up in logs; put the value into a header')
  .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), 'expected an http(s) URL')
  .refine(hasNoUserInfo, 'no user or password: URLs end up in logs; use basic_auth')
  .refine((text) => !text.includes('#'), 'expected no fragment: it is never sent');

function hasNoUserInfo(text: string): boolean {
  if (!URL.canParse(text)) return true;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}

const namesNoSecret = ([name, template]: [string, string]) =>
  OF_CREDENTIALS.has(name.toLowerCase()) && !template.includes('{{');

/** The first header of this name, whatever its case. */
export function headerOf(headers: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.entries(headers).find(([one]) => one.toLowerCase() === name)?.[1];
}

/** One HTTP request that holds the value. `{{field}}` in headers and body stands for a field of the value. Redirects are not followed. */
export const httpProbeSchema = z
  .strictObject({
    kind: z.literal('http'),
    method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']).default('GET'),
    url: urlSchema,
    /** Allows `http:`, where everybody on the way can read the value. */
    insecure_http: z.boolean().default(false),
    headers: z
      .record(headerName, template.refine(isHeaderValue, 'expected visible ASCII in one line'))
      .default({}),
    /** Fields are written as its content-type asks: in JSON as a part of a string, in a form percent-encoded, else as they are. */
    body: template.optional(),
    basic_auth: z.strictObject(loginFields).optional(),
    /** The statuses that mean the value works; default: any of 2xx. */
    expect_status: z.array(z.number().int().min(200).max(599)).min(1).optional(),
    /** Certificate authorities in PEM; default: Node's own. */
    ca: caSchema.optional(),
    timeout: timeoutSchema,
  })
  .refine(({ url, insecure_http }) => insecure_http || url.toLowerCase().startsWith('https:'), {
    path: ['url'],
    message: 'expected https, or insecure_http: true',
  })
  .refine(({ headers, body }) => body === undefined || headerOf(headers, 'content-type') !== undefined, {
    path: ['headers'],
    message: 'expected a content-type for the body: it says how fields are written into it',
  })
  .refine(
    ({ headers, basic_auth }) => basic_auth === undefined || headerOf(headers, 'authorization') === undefined,
    { path: ['basic_auth'], message: 'expected no header authorization beside it' },
  )
  .refine(({ headers }) => !Object.entries(headers).some(namesNoSecret), {
    path: ['headers'],
    message: 'expected credentials as {{field}}, not in plain',
  })
  .refine(
    ({ headers, body, basic_auth }) =>
      basic_auth !== undefined || [...Object.values(headers), body].some((text) => text?.includes('{{')),
    { message: 'expected a {{field}} in a header or the body, or basic_auth: nothing of the value is tried' },
  )
  .refine(({ headers }) => new Set(Object.keys(headers).map(lowered)).size === Object.keys(headers).length, {
    path: ['headers'],
    message: 'expected each header once',
  });
export type HttpProbe = z.infer<typeof httpProbeSchema>;

const lowered = (name: string) => name.toLowerCase();
