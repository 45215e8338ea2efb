import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';
import { Secret } from '../../telemetry/secret.ts';
import { joinPath } from '../../vault/addressing.ts';
import { readStatic } from '../../vault/secrets.ts';
import { durationSchema } from '../duration.ts';
import type { ProbeResult } from '../probes/probe-result.ts';
import { pathSchema, publishedFields } from '../specification-fields.ts';
import { endingOf, type KeyEnding, keyEndingSchema } from './http/api-key-requests.ts';
import { type DeclaredRequest, placeholdersOf } from './http/declared-request.ts';
import { fillRequest } from './http/fill-request.ts';
import { isHttpRequestError } from './http/http-request-error.ts';
import { createdKey, isGone, type ListedKey, listedKeys } from './http/key-answers.ts';
import { keyProviderSchema } from './http/presets.ts';
import { placeholderValues, type RequestValues } from './http/request-values.ts';
import { type RotatorDependencies, rotatorKind } from './kind.ts';
import type { Attempt, Created, Handle, Value } from './rotator.ts';

const DAY_MS = 86_400_000;
const FIELD = /^[a-z][a-z0-9_]*$/;

const schema = z.strictObject({
  kind: z.literal('http-api-key'),
  ...publishedFields,
  /** Who makes the keys, and by which requests: a preset, or the requests in full. */
  provider: keyProviderSchema,
  /** The KV path, after VAULT_NAMESPACE, of the credential that makes keys: its fields are `{{auth.<field>}}`. */
  auth: pathSchema.optional(),
  /** How long a key lives at the provider. It is replaced before; a lost one ends then. */
  expires_in: durationSchema.default(90 * DAY_MS),
  /** The field of the published value that holds the key. */
  field: z.string().regex(FIELD, 'expected a name such as api_key').default('api_key'),
});
type Specification = z.infer<typeof schema>;

/** Recorded before a key is made: all that is needed to find it by its name, and to end it. */
const intentSchema = z.object({
  name: z.string(),
  expires_at: z.number(),
  auth: z.string().optional(),
  ending: z.string(),
});
const handleOfKey = intentSchema.extend({ key_id: z.string() });
type Intent = z.infer<typeof intentSchema>;

/**
 * An API key of a service that is no part of Vault, made and revoked by declared requests. Its name at the provider is that of the
 * attempt, recorded before it is made: a key whose answer is lost is found by it, and has an expiry besides.
 */
export const httpApiKey = rotatorKind({
  schema,
  begins: 'at_once',
  rights: ({ auth }) => ({
    rotate: auth === undefined ? [] : [{ path: auth, under: 'kv-data', capabilities: ['read'] }],
  }),
  open: (deps) => ({
    intent: (attempt) => ({ ...intentOf(deps, attempt) }),
    create: (attempt) => create(deps, attempt),
    test: ({ spec }, handle, value) => test(deps, spec, handleOfKey.parse(handle), value),
    revoke: ({ handle }) => {
      const key = handleOfKey.parse(handle);
      return revokeKey(deps, key, key.key_id);
    },
    reap: (intent) => reap(deps, intentSchema.parse(intent)),
    inspect: (spec, { handle }, value) => inspect(deps, spec, handle, value),
    lastUsed: async ({ handle }) => {
      const key = handleOfKey.parse(handle);
      return (await keysOf(deps, key))?.find(({ keyId }) => keyId === key.key_id)?.lastUsedAt;
    },
  }),
});

function intentOf(deps: RotatorDependencies, { id, spec }: Attempt<Specification>) {
  return {
    name: keyName(spec.name, id),
    expires_at: deps.now() + spec.expires_in,
    ...(spec.auth === undefined ? {} : { auth: spec.auth }),
    ending: JSON.stringify(endingOf(spec.provider)),
  };
}

function keyName(name: string, attempt: string): string {
  return `leasekeeper-${name}-${attempt}`;
}

async function create(deps: RotatorDependencies, attempt: Attempt<Specification>): Promise<Created> {
  const intent = intentOf(deps, attempt);
  const { provider, field } = attempt.spec;
  const { body } = await send(deps, intent, provider.create.request, {
    attempt: attempt.id,
    expiresAt: intent.expires_at,
  });
  const { key, keyId } = createdKey(provider.create, body);
  return {
    handle: { ...intent, key_id: keyId },
    value: { [field]: key.expose(), key_id: keyId, expires_at: new Date(intent.expires_at).toISOString() },
    endsAt: intent.expires_at,
  };
}

async function test(
  deps: RotatorDependencies,
  spec: Specification,
  handle: z.infer<typeof handleOfKey>,
  value: Value | undefined,
): Promise<ProbeResult> {
  const key = value?.[spec.field];
  if (spec.provider.test === undefined) return { ok: true };
  if (typeof key !== 'string') return { ok: false, code: 'test_value_incomplete', refused: false };
  try {
    await send(deps, handle, spec.provider.test, { key: new Secret(key), keyId: handle.key_id });
    return { ok: true };
  } catch (error) {
    if (!isHttpRequestError(error)) throw error;
    const { code } = error;
    if (code === 'http_refused') return { ok: false, code: 'test_refused', refused: true };
    return { ok: false, code, refused: false };
  }
}

async function revokeKey(deps: RotatorDependencies, intent: Intent, keyId: string): Promise<void> {
  const { revoke } = endingIn(intent);
  try {
    await send(deps, intent, revoke, { keyId });
  } catch (error) {
    if (!isGone(revoke, error)) throw error;
  }
}

/** By its name. A provider that cannot list leaves a key that nobody holds; it ends at its expiry, and stays on the list until then. */
async function reap(deps: RotatorDependencies, intent: Intent): Promise<void> {
  if (deps.now() >= intent.expires_at) return;
  const keys = await keysOf(deps, intent);
  if (keys === undefined) throw unfindable(intent, deps.now());
  for (const { keyId, name } of keys) {
    if (name === intent.name) await revokeKey(deps, intent, keyId);
  }
}

async function inspect(
  deps: RotatorDependencies,
  spec: Specification,
  stored: Handle,
  value: () => Promise<Value | undefined>,
): Promise<string | undefined> {
  const handle = handleOfKey.parse(stored);
  if (spec.provider.test !== undefined) {
    const result = await test(deps, spec, handle, await value());
    if (result.ok || !result.refused) return undefined;
    return 'value_refused';
  }
  const keys = await keysOf(deps, handle);
  return keys === undefined || keys.some(({ keyId }) => keyId === handle.key_id) ? undefined : 'key_revoked';
}

/** The provider's keys; undefined when it has no list. */
async function keysOf(deps: RotatorDependencies, intent: Intent): Promise<readonly ListedKey[] | undefined> {
  const { list } = endingIn(intent);
  if (list === undefined) return undefined;
  const { body } = await send(deps, intent, list.request, {});
  return listedKeys(list, body);
}

async function send(
  deps: RotatorDependencies,
  intent: Intent,
  request: DeclaredRequest,
  values: Omit<RequestValues, 'parameters' | 'auth' | 'name'>,
) {
  const { parameters } = endingIn(intent);
  // Only what names it gets it: a test of the key itself is no reason to read the credential that makes keys.
  const isNamed = [...placeholdersOf(request)].some((name) => name.startsWith('auth.'));
  const auth = intent.auth === undefined || !isNamed ? undefined : await credentialAt(deps, intent.auth);
  return deps.http.send(
    fillRequest(request, placeholderValues({ ...values, parameters, auth, name: intent.name })),
  );
}

async function credentialAt(deps: RotatorDependencies, path: string) {
  const { data } = await readStatic(deps.vault, deps.mounts, joinPath(deps.namespace, path));
  return new Secret(data);
}

function endingIn({ ending }: Intent): KeyEnding {
  return keyEndingSchema.parse(JSON.parse(ending));
}

function unfindable(intent: Intent, now: number): LeasekeeperError & { readonly retryAfterMs: number } {
  const error = new LeasekeeperError(
    'key_unfindable',
    'A key may have been made whose answer was lost, and its provider cannot list keys.',
    { hint: `Look for ${intent.name} there and revoke it, or let it end at its expiry.` },
  );
  return Object.assign(error, { retryAfterMs: Math.max(0, intent.expires_at - now) });
}
