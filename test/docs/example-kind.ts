import * as z from 'zod';
import { rotatorKind } from '../../lib/rotation/rotators/kind.ts';
import { publishedFields, segmentSchema } from '../../lib/rotation/specification-fields.ts';
import { joinPath } from '../../lib/vault/addressing.ts';
import { isVaultError } from '../../lib/vault/errors.ts';

const schema = z.strictObject({
  kind: z.literal('userpass-password'),
  ...publishedFields,
  mount: segmentSchema.default('userpass'),
  username: segmentSchema,
  policy: segmentSchema,
});

const handleSchema = z.object({ user: z.string(), username: z.string() });
const passwordSchema = z.object({ password: z.string() });
const generated = z.object({ data: passwordSchema });

/** The password of a user of Vault's auth method `userpass`. One password at a time: there is no overlap. */
export const userpassPassword = rotatorKind({
  schema,
  begins: 'when_asked',
  rights: ({ mount, username, policy }) => ({
    rotate: [
      { path: `auth/${mount}/users/${username}/password`, under: 'auth', capabilities: ['update'] },
      { path: `sys/policies/password/${policy}/generate`, under: 'auth', capabilities: ['read'] },
    ],
  }),
  open: (deps) => {
    const at = (...path: readonly string[]) => joinPath(deps.authNamespace, ...path);
    return {
      // Nothing outside changes yet: whoever dies here leaves only a pending value, which is swept.
      create: async ({ spec }) => {
        const answer = await deps.vault.request({
          method: 'GET',
          path: at('sys/policies/password', spec.policy, 'generate'),
          repeatable: true,
        });
        const { password } = generated.parse(answer.body).data;
        const handle = { user: at('auth', spec.mount, 'users', spec.username), username: spec.username };
        return { handle, value: { username: spec.username, password } };
      },
      // Only the worker that holds the claim comes here. Setting the same password twice changes nothing.
      apply: async (attempt, handle, value) => {
        const { user } = handleSchema.parse(handle);
        const { password } = passwordSchema.parse(await value());
        attempt.assertClaimed();
        await deps.vault.request({
          method: 'POST',
          path: joinPath(user, 'password'),
          body: { password },
          repeatable: true,
        });
        return handle;
      },
      test: async ({ spec }, _handle, value) => {
        try {
          await deps.client.request({
            method: 'POST',
            path: at('auth', spec.mount, 'login', spec.username),
            body: { password: value?.password },
            repeatable: true,
          });
          return { ok: true };
        } catch (error) {
          const refused = isVaultError(error, 'vault_bad_request', 'vault_denied');
          return { ok: false, code: refused ? 'test_login_refused' : 'test_failed', refused };
        }
      },
    };
  },
});
