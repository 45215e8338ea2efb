import { expect, it } from 'vitest';
import { generated } from '../../../lib/rotation/rotators/generated.ts';

const input = {
  kind: 'generated',
  name: 'session-key',
  policy: 'signing-key',
  publish: 'app/session-key',
  grace: '1h',
  deadline: '1d',
} as const;

it('generates the field `password` when no other is named', () => {
  expect(generated.schema.parse(input)).toMatchObject({ field: 'password', fields: {} });
});

it.each([{ fields: { password: 'fixed' } }, { field: 'key', fields: { key: 'fixed' } }])(
  'refuses a fixed field in place of the generated one: %j',
  (changes) => {
    const parsed = generated.schema.safeParse({ ...input, ...changes });
    expect(parsed.error?.issues.map(({ path, message }) => [path.join('.'), message])).toEqual([
      ['fields', 'expected other names than that of the generated field'],
    ]);
  },
);

it('refuses a policy that is no plain name', () => {
  expect(generated.schema.safeParse({ ...input, policy: 'a/../b' }).success).toBe(false);
});
