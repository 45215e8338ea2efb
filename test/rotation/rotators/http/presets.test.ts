import { describe, expect, it } from 'vitest';
import { apiKeyRequestsSchema } from '../../../../lib/rotation/rotators/http/api-key-requests.ts';
import { keyProviderSchema, presetOf } from '../../../../lib/rotation/rotators/http/presets.ts';

const OPTIONS = { org: 'acme', policies: [{ product: 'nv-cloud-functions' }] };

function problemsOf(provider: unknown): Record<string, string> {
  const issues = keyProviderSchema.safeParse(provider).error?.issues ?? [];
  return Object.fromEntries(issues.map(({ path, message }) => [path.join('.'), message]));
}

describe('presetOf', () => {
  it('is what NVIDIA NGC understands', () => {
    const url = 'https://api.ngc.nvidia.com/v3/orgs/{{org}}/keys/type/{{key_type}}';

    expect(presetOf('nvidia-ngc', OPTIONS)).toMatchObject({
      parameters: { org: 'acme', key_type: 'PERSONAL_KEY' },
      create: {
        request: {
          method: 'POST',
          url,
          headers: { authorization: 'Bearer {{auth.api_key}}' },
          body: {
            json: {
              name: '{{name}}',
              expiryDate: '{{expires_at}}',
              type: '{{key_type}}',
              policies: OPTIONS.policies,
            },
          },
        },
        key: 'apiKey.value',
        key_id: 'apiKey.keyId',
      },
      test: {
        method: 'POST',
        url: 'https://api.ngc.nvidia.com/v3/keys/get-caller-info',
        body: { form: { credentials: '{{key}}' } },
      },
      revoke: {
        method: 'DELETE',
        url: 'https://api.ngc.nvidia.com/v3/orgs/{{org}}/keys/{{key_id}}/type/{{key_type}}',
        gone_status: [404, 410],
      },
      list: { request: { method: 'GET', url }, unverified: true },
    });
  });

  it('sends the admin key to no place where the new one is tried', () => {
    expect(JSON.stringify(presetOf('nvidia-ngc', OPTIONS).test)).not.toContain('auth.');
  });

  it('can be changed in every part', () => {
    const changed = presetOf('nvidia-ngc', {
      ...OPTIONS,
      key_type: 'SERVICE_KEY',
      base_url: 'https://ngc.internal/api',
      create: {
        request: { method: 'PUT', url: 'https://other.example/{{name}}/{{expires_at}}', timeout: '30s' },
        key: 'result.apiKey.value',
        key_id: 'result.apiKey.keyId',
      },
      test: { headers: { Authorization: 'Bearer {{key}}' }, expect_status: [200] },
      revoke: { url: 'https://other.example/{{key_id}}', gone_status: [404] },
      list: {
        request: { url: 'https://other.example/keys' },
        items: '$',
        key_id: 'id',
        key_name: 'label',
        last_used: 'used',
        unverified: false,
      },
    });

    expect(changed).toMatchObject({
      parameters: { key_type: 'SERVICE_KEY' },
      create: {
        request: { method: 'PUT', url: 'https://other.example/{{name}}/{{expires_at}}', timeout: '30s' },
        key: 'result.apiKey.value',
        key_id: 'result.apiKey.keyId',
      },
      test: {
        url: 'https://ngc.internal/api/v3/keys/get-caller-info',
        headers: { authorization: 'Bearer {{key}}' },
        expect_status: [200],
      },
      revoke: { method: 'DELETE', url: 'https://other.example/{{key_id}}', gone_status: [404] },
      list: {
        request: { method: 'GET', url: 'https://other.example/keys' },
        items: '$',
        key_id: 'id',
        key_name: 'label',
        last_used: 'used',
        unverified: false,
      },
    });
  });

  it('merges headers whatever their case, and replaces a body', () => {
    const { create } = presetOf('nvidia-ngc', {
      ...OPTIONS,
      create: {
        request: {
          headers: { Authorization: 'ApiKey {{auth.other}}', 'X-Team': 'blue' },
          body: { form: { n: '{{name}}', e: '{{expires_at}}' } },
        },
      },
    });

    expect(create.request.headers).toEqual({ authorization: 'ApiKey {{auth.other}}', 'x-team': 'blue' });
    expect(create.request.body).toEqual({ form: { n: '{{name}}', e: '{{expires_at}}' } });
  });

  it('can do without test and list', () => {
    const requests = presetOf('nvidia-ngc', { ...OPTIONS, test: false, list: false });

    expect(requests.test).toBeUndefined();
    expect(requests.list).toBeUndefined();
  });

  it('does not fill what its options hold', () => {
    expect(presetOf('nvidia-ngc', { ...OPTIONS, org: '{{auth.api_key}}' }).create.request.url).toContain(
      '/{{org}}/',
    );
  });
});

describe('keyProviderSchema', () => {
  it('reads a preset and requests in full as the same', () => {
    const requests = presetOf('nvidia-ngc', OPTIONS);

    expect(keyProviderSchema.parse({ preset: 'nvidia-ngc', ...OPTIONS })).toEqual(requests);
    expect(keyProviderSchema.parse(requests)).toEqual(requests);
    expect(apiKeyRequestsSchema.parse(requests)).toEqual(requests);
  });

  it.each([
    ['a preset that there is not', { preset: 'acme' }, 'preset', /nvidia-ngc/],
    ['a preset without what it needs', { preset: 'nvidia-ngc', org: 'a' }, 'policies', /expected array/],
    ['an option that there is not', { preset: 'nvidia-ngc', ...OPTIONS, orgs: 'a' }, '', /orgs/],
    ['requests that lack one', { create: {} }, 'revoke', /expected object/],
    [
      'a host with a placeholder',
      { preset: 'nvidia-ngc', ...OPTIONS, base_url: 'https://{{org}}.example' },
      'create.request.url',
      /host without/,
    ],
    [
      'plain http that is not asked for',
      { preset: 'nvidia-ngc', ...OPTIONS, base_url: 'http://ngc.internal' },
      'revoke.url',
      /expected https/,
    ],
    [
      'keys without an expiry while the list is unverified',
      { preset: 'nvidia-ngc', ...OPTIONS, create: { request: { body: { json: '{{name}}' } } } },
      'create.request',
      /expires_at/,
    ],
    [
      'an override that does not fit',
      { preset: 'nvidia-ngc', ...OPTIONS, revoke: { url: 'https://a.example/keys' } },
      'revoke',
      /key_id/,
    ],
  ])('refuses %s', (_what, provider, field, message) => {
    expect(problemsOf(provider)[field]).toMatch(message);
  });
});
