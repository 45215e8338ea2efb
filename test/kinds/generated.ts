import { adminOf, uniqueName } from '../support/admin.ts';
import type { KindCase } from './kind-case.ts';
import { destroyCurrent, isReadable } from './published-versions.ts';

/** 32 letters and digits. */
export const PASSWORD_POLICY =
  'length = 32\nrule "charset" { charset = "abcdefghijklmnopqrstuvwxyz0123456789" }';

export const generatedCase: KindCase = {
  kind: 'generated',
  overlaps: true,
  ends: true,
  prepare: async (world) => {
    const policy = uniqueName('password');
    await adminOf(world).request('PUT', `sys/policies/password/${policy}`, { policy: PASSWORD_POLICY });
    return {
      specify: async (name) => ({
        kind: 'generated',
        name,
        policy,
        fields: { algorithm: 'HS256' },
        publish: `app/${name}`,
        grace: '0s',
        deadline: '0s',
      }),
      works: (name, value) => isReadable(world, name, value),
      // Nothing lives outside the published path.
      live: async () => [],
      disturb: async (name) => {
        await destroyCurrent(world, name);
        return 'published_value_missing';
      },
      close: async () => {},
    };
  },
};
