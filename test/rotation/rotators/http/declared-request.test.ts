import { describe, expect, it } from 'vitest';
import {
  declaredRequestSchema,
  placeholdersOf,
} from '../../../../lib/rotation/rotators/http/declared-request.ts';

const HTTPS = 'https://api.example.com';

/** What is wrong with a request, by field. */
function problemsOf(request: Record<string, unknown>): Record<string, string> {
  const parsed = declaredRequestSchema.safeParse({ method: 'POST', url: `${HTTPS}/keys`, ...request });
  const issues = parsed.error?.issues ?? [];
  return Object.fromEntries(issues.map(({ path, message }) => [path.join('.'), message]));
}

describe('declaredRequestSchema', () => {
  it('takes what a request can hold, and gives it back as it was, however often it is parsed', () => {
    const request = {
      method: 'POST',
      url: `${HTTPS}:8443/orgs/{{org}}/keys/k-{{key_id}}?name={{name}}&all=1`,
      headers: { Authorization: 'Bearer {{auth.api-key}}', 'X-Trace': 'a b' },
      body: {
        json: { name: '{{name}}', at: [{ expires: '{{expires_at}}' }, 1, null, true, '{single} }}'] },
      },
      expect_status: [201, 404],
      timeout: '1m',
    };

    const once = declaredRequestSchema.parse(request);

    expect(once).toEqual(request);
    expect(declaredRequestSchema.parse(once)).toEqual(request);
  });

  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])('takes %s without a body', (method) => {
    expect(problemsOf({ method })).toEqual({});
  });

  it.each([
    ['a host with a placeholder', 'https://{{org}}.example.com/keys', /host without/],
    ['a scheme with a placeholder', '{{scheme}}://example.com/keys', /absolute URL/],
    ['a placeholder at the end of a host', 'https://example.com{{path}}', /host without/],
    ['a placeholder as port', 'https://example.com:{{port}}/', /host without/],
    ['a user name', 'https://me@example.com/', /host without/],
    ['a percent-encoded host', 'https://ex%61mple.com/', /host without/],
    ['a backslash, which would end the host', 'https://example.com\\@evil.example/', /ASCII without/],
    ['a fragment', 'https://example.com/#{{name}}', /ASCII without/],
    ['a line end', 'https://example.com/\n/', /ASCII without/],
    ['a tab in its host', 'https://exam\tple.com/', /ASCII without/],
    ['a space', 'https://example.com/a b', /ASCII without/],
    ['no host', 'https:///keys', /absolute URL/],
    ['a relative URL', '/keys', /absolute URL/],
    ['another scheme', 'file:///etc/passwd', /absolute URL/],
    ['an impossible port', 'https://example.com:99999/', /expected a URL/],
    ['plain http', 'http://example.com/', /expected https/],
    ['the key in its path', 'https://example.com/keys/{{key}}', /no secret in the URL/],
    ['auth in its query', 'https://example.com/keys?token={{auth.token}}', /no secret in the URL/],
    ['a broken placeholder', 'https://example.com/{{Name}}', /every \{\{/],
  ])('refuses a URL with %s', (_what, url, message) => {
    expect(problemsOf({ url }).url).toMatch(message);
  });

  it('takes plain http where the specification says so', () => {
    expect(problemsOf({ url: 'http://127.0.0.1:8080/keys', insecure_http: true })).toEqual({});
  });

  it.each([
    ['CR and LF in a header', { headers: { 'x-a': 'b\r\nx-c: d' } }, 'headers.x-a', /one line/],
    ['a header that is no name', { headers: { 'x a': 'b' } }, 'headers.x a', /name of a header|Invalid key/],
    ['a header twice', { headers: { 'X-A': '1', 'x-a': '2' } }, 'headers.x-a', /once/],
    ['a header of the connection', { headers: { Host: 'evil.example' } }, 'headers.Host', /connection/],
    [
      'a secret in plain',
      { headers: { Authorization: 'Bearer abc' } },
      'headers.Authorization',
      /not in plain/,
    ],
    ['a body with GET', { method: 'GET', body: { json: 1 } }, 'body', /none with GET/],
    ['two bodies', { body: { json: 1, form: {} } }, 'body', /expected \{json/],
    ['a placeholder as a name', { body: { json: { '{{name}}': 1 } } }, 'body', /in values only/],
    ['a broken placeholder in a body', { body: { json: ['{{Name}}'] } }, 'body', /well-formed/],
    ['a placeholder as a form field', { body: { form: { '{{name}}': '' } } }, 'body', /well-formed/],
    ['a timeout of nothing', { timeout: '0s' }, 'timeout', /at most 60s/],
    ['a timeout without end', { timeout: '61s' }, 'timeout', /at most 60s/],
    ['an expected failure of the server', { expect_status: [500] }, 'expect_status.0', /499/],
    ['an unknown method', { method: 'TRACE' }, 'method', /Invalid option/],
  ])('refuses %s', (_what, request, field, message) => {
    expect(problemsOf(request)[field]).toMatch(message);
  });

  it('refuses fields that it does not know', () => {
    expect(problemsOf({ redirect: 'follow' })).toEqual({ '': expect.stringContaining('redirect') });
  });
});

describe('placeholdersOf', () => {
  it('finds them in URL, headers and body', () => {
    const request = declaredRequestSchema.parse({
      method: 'POST',
      url: `${HTTPS}/{{org}}/{{org}}?q={{name}}`,
      headers: { authorization: 'Bearer {{auth.api_key}}' },
      body: { json: { list: [{ at: 'until {{expires_at}} or {{attempt}}' }] } },
    });

    expect([...placeholdersOf(request)]).toEqual(['org', 'name', 'auth.api_key', 'expires_at', 'attempt']);
  });

  it('finds them in a form', () => {
    const request = declaredRequestSchema.parse({
      method: 'POST',
      url: HTTPS,
      body: { form: { credentials: '{{key}}' } },
    });

    expect([...placeholdersOf(request)]).toEqual(['key']);
  });
});
