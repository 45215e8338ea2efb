import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import {
  apiKeyRequestsSchema,
  endingOf,
  keyEndingSchema,
} from '../../../../lib/rotation/rotators/http/api-key-requests.ts';

const headers = { authorization: 'Bearer {{auth.token}}' };
const body = { json: { name: '{{name}}', until: '{{expires_at}}' } };
const url = 'https://api.example.com/keys';

const WHOLE = {
  parameters: { team: 'blue' },
  create: { request: { method: 'POST', url: `${url}/{{team}}`, headers, body }, key: 'key', key_id: 'id' },
  test: { method: 'GET', url, headers: { authorization: 'Bearer {{key}}' } },
  revoke: { method: 'DELETE', url: `${url}/{{key_id}}`, headers },
  list: { request: { method: 'GET', url, headers }, items: '$', key_id: 'id', key_name: 'name' },
};

function problemsOf(change: Record<string, unknown>): Record<string, string> {
  const parsed = apiKeyRequestsSchema.safeParse({ ...WHOLE, ...change });
  const issues = parsed.error?.issues ?? [];
  return Object.fromEntries(issues.map(({ path, message }) => [path.join('.'), message]));
}

function creating(change: Record<string, unknown>) {
  return { ...WHOLE.create, request: { ...WHOLE.create.request, ...change } };
}

describe('apiKeyRequestsSchema', () => {
  it('takes a whole set, and gives it back as it was, however often it is parsed', () => {
    const once = apiKeyRequestsSchema.parse(WHOLE);

    expect(once).toEqual({ ...WHOLE, revoke: { ...WHOLE.revoke, gone_status: [404, 410] } });
    expect(apiKeyRequestsSchema.parse(once)).toEqual(once);
  });

  it('takes as little as create and revoke', () => {
    expect(problemsOf({ parameters: { team: 'x' }, test: undefined, list: undefined })).toEqual({});
  });

  it('can be described as JSON Schema', () => {
    expect(z.toJSONSchema(apiKeyRequestsSchema, { io: 'input' })).toMatchObject({
      required: ['create', 'revoke'],
    });
  });

  it.each([
    ['create', { create: creating({ url: `${url}/{{key_id}}` }) }, 'create.request', '{{key_id}}'],
    ['test', { test: { ...WHOLE.test, url: `${url}/{{expires_at}}` } }, 'test', '{{expires_at}}'],
    [
      'revoke',
      { revoke: { ...WHOLE.revoke, url: `${url}/{{key_id}}/{{attempt}}` } },
      'revoke',
      '{{attempt}}',
    ],
    ['revoke', { revoke: { ...WHOLE.revoke, headers: { 'x-key': '{{key}}' } } }, 'revoke', '{{key}}'],
    [
      'list',
      { list: { ...WHOLE.list, request: { method: 'GET', url: `${url}/{{teem}}` } } },
      'list.request',
      '{{teem}}',
    ],
  ])('knows what there is for %s', (_operation, change, field, placeholder) => {
    expect(problemsOf(change)[field]).toContain(`unknown here: ${placeholder};`);
  });

  it.each([
    ['a revocation that does not say which key', { revoke: { ...WHOLE.revoke, url } }, 'revoke', /key_id/],
    ['a test that tries no key', { test: { ...WHOLE.test, headers } }, 'test', /\{\{key\}\}/],
    [
      'a list beside keys without a name',
      { create: creating({ body: { json: '{{expires_at}}' } }) },
      'create.request',
      /\{\{name\}\}/,
    ],
    [
      'keys that would live on for ever when their answer is lost',
      { list: undefined, create: creating({ body: { json: '{{name}}' } }) },
      'create.request',
      /expires_at/,
    ],
    [
      'keys without an expiry beside a list that nobody has seen',
      { list: { ...WHOLE.list, unverified: true }, create: creating({ body: { json: '{{name}}' } }) },
      'create.request',
      /expires_at/,
    ],
    ['a key as its own id', { create: { ...WHOLE.create, key_id: 'key' } }, 'create.key_id', /no secret/],
    [
      'a parameter with a meaning of its own',
      { parameters: { team: 'x', key: 'y' } },
      'parameters.key',
      /another name/,
    ],
    [
      'a parameter that looks like auth',
      { parameters: { team: 'x', 'auth.token': 'y' } },
      'parameters.auth.token',
      /key_type|Invalid key/,
    ],
    ['an empty parameter', { parameters: { team: '' } }, 'parameters.team', />=1/],
    [
      'a refusal as gone',
      { revoke: { ...WHOLE.revoke, gone_status: [403] } },
      'revoke.gone_status.0',
      /none of/,
    ],
    ['a failure as gone', { revoke: { ...WHOLE.revoke, gone_status: [500] } }, 'revoke.gone_status.0', /499/],
    [
      'a request that is none',
      { revoke: { ...WHOLE.revoke, url: `http://a/{{key_id}}` } },
      'revoke.url',
      /https/,
    ],
    ['a path that is none', { create: { ...WHOLE.create, key: 'a[*]' } }, 'create.key', /apiKey\.value/],
    ['fields that it does not know', { revoke: { ...WHOLE.revoke, gone: [404] } }, 'revoke', /gone/],
  ])('refuses %s', (_what, change, field, message) => {
    expect(problemsOf(change)[field]).toMatch(message);
  });

  it('takes keys without an expiry beside a list', () => {
    expect(problemsOf({ create: creating({ body: { json: '{{name}}' } }) })).toEqual({});
  });
});

describe('endingOf', () => {
  it('is what can be stored and read again to end a key', () => {
    const ending = endingOf(apiKeyRequestsSchema.parse(WHOLE));

    expect(Object.keys(ending)).toEqual(['parameters', 'revoke', 'list']);
    expect(keyEndingSchema.parse(JSON.parse(JSON.stringify(ending)))).toEqual(ending);
  });

  it('has no list where there is none', () => {
    expect(endingOf(apiKeyRequestsSchema.parse({ ...WHOLE, list: undefined }))).not.toHaveProperty('list');
  });
});
