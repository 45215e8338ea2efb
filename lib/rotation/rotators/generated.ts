import * as z from 'zod';
import { tokenNamespaceOf } from '../../vault/mounts.ts';
import { PasswordPolicies } from '../../vault/password-policies.ts';
import { publishedFields, segmentSchema } from '../specification-fields.ts';
import { rotatorKind } from './kind.ts';
import { destroyPublished, destroyRight, inspectPublished } from './published-version.ts';

const fieldSchema = z.string().min(1).max(128);

const schema = z
  .strictObject({
    kind: z.literal('generated'),
    ...publishedFields,
    /** A Vault password policy, in the namespace where tokens are. */
    policy: segmentSchema,
    /** The field of the published value that holds the generated text. */
    field: fieldSchema.default('password'),
    /** What is published with it and stays the same: a user name, an algorithm. It is stored in plain. */
    fields: z.record(fieldSchema, z.string()).default({}),
    /** How the text is written, for readers who want bytes; as it is when left out. */
    encoding: z.enum(['base64', 'hex']).optional(),
  })
  .refine(({ field, fields }) => !Object.hasOwn(fields, field), {
    path: ['fields'],
    message: 'expected other names than that of the generated field',
  });

/**
 * A random value that its readers share: a signing key, a session key. They accept the current one and the one before it, so a generation
 * ends when nobody can read it any more.
 */
export const generated = rotatorKind({
  schema,
  begins: 'at_once',
  rights: ({ policy, publish }) => ({
    rotate: [
      { path: `sys/policies/password/${policy}/generate`, under: 'system', capabilities: ['read'] },
      destroyRight(publish),
    ],
  }),
  open: (deps) => ({
    create: async ({ id, spec }) => {
      const namespace = await tokenNamespaceOf(deps.vault, deps.namespace, deps.authNamespace);
      const text = await new PasswordPolicies(deps.vault, namespace).generate(spec.policy);
      return {
        handle: { attempt: id },
        value: { ...spec.fields, [spec.field]: encoded(text, spec.encoding) },
      };
    },
    revoke: (ended) => destroyPublished(deps, ended),
    inspect: (_spec, current) => inspectPublished(deps, current),
  }),
});

function encoded(text: string, encoding: 'base64' | 'hex' | undefined): string {
  return encoding === undefined ? text : Buffer.from(text, 'utf8').toString(encoding);
}
