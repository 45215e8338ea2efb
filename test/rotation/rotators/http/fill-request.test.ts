import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { declaredRequestSchema } from '../../../../lib/rotation/rotators/http/declared-request.ts';
import { fillRequest } from '../../../../lib/rotation/rotators/http/fill-request.ts';
import type { PlaceholderValues } from '../../../../lib/rotation/rotators/http/placeholders.ts';
import { placeholderValues } from '../../../../lib/rotation/rotators/http/request-values.ts';
import { Secret } from '../../../../lib/telemetry/secret.ts';

const URL_OF_KEY = 'https://api.example.com/v3/keys/{{key_id}}/x';

function filled(request: Record<string, unknown>, values: PlaceholderValues = {}) {
  const declared = declaredRequestSchema.parse({
    method: 'POST',
    url: 'https://api.example.com/',
    ...request,
  });
  return fillRequest(declared, values);
}

function contentOf(request: Record<string, unknown>, values: PlaceholderValues = {}) {
  return filled(request, values).content.expose();
}

/** The error that filling ends in; its code and all that it shows. */
function failure(request: Record<string, unknown>, values: PlaceholderValues) {
  try {
    filled(request, values);
  } catch (error) {
    return { error, shown: inspect(error) };
  }
  throw new Error('It was filled.');
}

describe('fillRequest', () => {
  it('fills every place, each in its own encoding', () => {
    const values = { org: 'a/b c', name: 'x&y=é', key_id: '7', 'auth.token': new Secret('t"1') };

    expect(
      contentOf(
        {
          url: 'https://api.example.com:8443/orgs/{{org}}/k-{{key_id}}?name={{name}}&all=1',
          headers: { Authorization: 'Bearer {{auth.token}}' },
          body: { json: { n: '{{name}}!', list: [{ id: '{{key_id}}' }, 1, null, false] } },
        },
        values,
      ),
    ).toEqual({
      origin: 'https://api.example.com:8443',
      path: '/orgs/a%2Fb%20c/k-7?name=x%26y%3D%C3%A9&all=1',
      headers: {
        accept: 'application/json',
        'user-agent': 'leasekeeper',
        'content-type': 'application/json',
        authorization: 'Bearer t"1',
      },
      body: '{"n":"x&y=é!","list":[{"id":"7"},1,null,false]}',
    });
  });

  it('sends a form as one', () => {
    expect(contentOf({ body: { form: { a: '{{name}}', b: 'c d' } } }, { name: 'x&b=1' })).toMatchObject({
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'a=x%26b%3D1&b=c+d',
    });
  });

  it('sends no body and no type of one where none is declared', () => {
    const content = contentOf({ method: 'DELETE' });

    expect(content.body).toBeUndefined();
    expect(content.headers).not.toHaveProperty('content-type');
  });

  it('lets the request say its own type', () => {
    expect(
      contentOf({ headers: { 'Content-Type': 'application/merge-patch+json' }, body: { json: 1 } }),
    ).toMatchObject({
      headers: { 'content-type': 'application/merge-patch+json' },
    });
  });

  it('has 15 s unless the request says otherwise', () => {
    expect(filled({}).timeoutMs).toBe(15_000);
    expect(filled({ timeout: '1m' }).timeoutMs).toBe(60_000);
  });

  it('does not fill what values hold', () => {
    const values = { name: '{{auth.token}} $& $1', 'auth.token': 'hush' };

    expect(contentOf({ headers: { 'x-name': '{{name}}' } }, values).headers['x-name']).toBe(
      '{{auth.token}} $& $1',
    );
    expect(contentOf({ body: { json: ['{{name}}'] } }, values).body).toBe('["{{auth.token}} $& $1"]');
  });

  it('names a placeholder without a value', () => {
    const { error } = failure({ headers: { 'x-a': '{{auth.nothing}}' } }, { 'auth.token': 'hush' });

    expect(error).toMatchObject({
      code: 'http_placeholder_unknown',
      message: 'There is no value for {{auth.nothing}}.',
    });
  });

  it('takes nothing from the prototype of values', () => {
    const request = { body: { json: '{{constructor}}' } };

    expect(failure(request, {}).error).toMatchObject({ code: 'http_placeholder_unknown' });
  });

  it.each([
    ['a line end', { headers: { 'x-a': 'v{{key}}' } }, 'hush\r\nx-evil: 1'],
    ['another control character', { headers: { 'x-a': 'v{{key}}' } }, 'hush\u0000'],
    ['text that is not ASCII', { headers: { 'x-a': 'v{{key}}' } }, 'hushé'],
  ])('puts %s into no header', (_what, request, value) => {
    const { error, shown } = failure(request, { key: new Secret(value) });

    expect(error).toMatchObject({ code: 'http_value_unusable' });
    expect(shown).toContain('{{key}}');
    expect(shown).not.toContain('hush');
  });

  it.each(['.', '..'])('does not climb by %j', (key_id) => {
    expect(failure({ url: URL_OF_KEY }, { key_id }).error).toMatchObject({ code: 'http_value_unusable' });
  });

  it('does not climb by dots that a URL parser decodes', () => {
    expect(failure({ url: 'https://api.example.com/v3/%2E{{a}}/x' }, { a: '.' }).error).toMatchObject({
      code: 'http_value_unusable',
    });
  });

  it.each([
    ['a path', { url: URL_OF_KEY }],
    ['a header', { headers: { 'x-a': '{{key_id}}' } }],
    ['a body', { body: { form: { a: '{{key_id}}' } } }],
  ])('does not leave %s empty', (_where, request) => {
    // DELETE /keys/{{key_id}} would be DELETE /keys/.
    expect(failure(request, { key_id: '' }).error).toMatchObject({ code: 'http_value_unusable' });
  });

  it('sends no half of a character', () => {
    expect(failure({ url: URL_OF_KEY }, { key_id: '\ud800' }).error).toMatchObject({
      code: 'http_value_unusable',
    });
  });

  it('stays at its host and in its segment whatever the value', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (key_id) => {
        fc.pre(key_id !== '.' && key_id !== '..');
        const { origin, path } = contentOf({ url: URL_OF_KEY }, { key_id });

        expect(origin).toBe('https://api.example.com');
        expect(path.split('/').map(decodeURIComponent)).toEqual(['', 'v3', 'keys', key_id, 'x']);
      }),
    );
  });

  it('can be printed', () => {
    const values = { key_id: 'id', key: new Secret('hush-key'), 'auth.token': 'hush-token' };
    const request = {
      url: URL_OF_KEY,
      headers: { authorization: 'Bearer {{auth.token}}' },
      body: { json: '{{key}}' },
    };
    const one = filled(request, values);

    expect(one).toMatchObject({ method: 'POST', host: 'api.example.com' });
    expect(inspect(one, { depth: 9, showHidden: true }) + JSON.stringify(one)).not.toContain('hush');
  });
});

describe('placeholderValues', () => {
  it('names each value', () => {
    const key = new Secret('k');
    const auth = new Secret({ api_key: 'a', port: 5432, nested: {} });

    expect(
      placeholderValues({
        parameters: { org: 'acme' },
        auth,
        name: 'n',
        attempt: '01H',
        expiresAt: Date.parse('2026-11-21T22:17:00.999Z'),
        keyId: 'i',
        key,
      }),
    ).toEqual({
      org: 'acme',
      'auth.api_key': 'a',
      name: 'n',
      attempt: '01H',
      expires_at: '2026-11-21T22:17:00Z',
      key_id: 'i',
      key,
    });
  });

  it('has no name for what is not there', () => {
    expect(placeholderValues({ parameters: {}, auth: undefined })).toEqual({});
  });
});
