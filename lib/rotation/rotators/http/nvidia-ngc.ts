import * as z from 'zod';
import type { apiKeyRequestsSchema } from './api-key-requests.ts';
import { requestOverrides } from './request-overrides.ts';

/**
 * Options of the preset for API keys of NVIDIA NGC, `nvapi-…`. It follows what NVIDIA's own programs send and was not tried against the
 * service: unknown are the list, and whether an `nvapi-` key may create keys (else `auth.api_key` is another bearer token). So everything
 * can be overridden.
 */
export const nvidiaNgcSchema = z.strictObject({
  preset: z.literal('nvidia-ngc'),
  /** The organisation's name in URLs, not the one it is shown by. */
  org: z.string().min(1),
  /** `PERSONAL_KEY`, `SERVICE_KEY`, `AI_PLAYGROUNDS_KEY`. */
  key_type: z.string().min(1).default('PERSONAL_KEY'),
  /** What the key may do, as NGC takes it: `[{product: nv-cloud-functions, scopes: [invoke_function], resources: [{…}]}]`. */
  policies: z.array(z.record(z.string(), z.json())).min(1),
  base_url: z.string().regex(/[^/]$/, 'expected no slash at the end').default('https://api.ngc.nvidia.com'),
  /** Of all requests. */
  insecure_http: z.boolean().optional(),
  ...requestOverrides,
});
export type NvidiaNgcOptions = z.infer<typeof nvidiaNgcSchema>;

/** The preset's requests. A key always has an expiry: one that is lost ends by itself, whether or not the list works. */
export function nvidiaNgcRequests(options: NvidiaNgcOptions) {
  const { org, key_type, policies, base_url } = options;
  const insecure = options.insecure_http === undefined ? {} : { insecure_http: options.insecure_http };
  const keys = `${base_url}/v3/orgs/{{org}}/keys`;
  const headers = { authorization: 'Bearer {{auth.api_key}}' };
  return {
    parameters: { org, key_type },
    create: {
      request: {
        method: 'POST',
        url: `${keys}/type/{{key_type}}`,
        headers,
        body: { json: { name: '{{name}}', expiryDate: '{{expires_at}}', type: '{{key_type}}', policies } },
        ...insecure,
      },
      key: 'apiKey.value',
      key_id: 'apiKey.keyId',
    },
    test: {
      method: 'POST',
      url: `${base_url}/v3/keys/get-caller-info`,
      body: { form: { credentials: '{{key}}' } },
      ...insecure,
    },
    revoke: { method: 'DELETE', url: `${keys}/{{key_id}}/type/{{key_type}}`, headers, ...insecure },
    list: {
      request: { method: 'GET', url: `${keys}/type/{{key_type}}`, headers, ...insecure },
      items: 'apiKeys',
      key_id: 'keyId',
      key_name: 'name',
      last_used: 'lastUsedDate',
      unverified: true,
    },
  } satisfies z.input<typeof apiKeyRequestsSchema>;
}
