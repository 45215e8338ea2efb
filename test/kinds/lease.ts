import { testPostgresLogin } from '../../lib/rotation/probes/postgres.ts';
import { Leases } from '../../lib/vault/leases.ts';
import { leaseSpecification, liveRoles } from '../support/world.ts';
import type { KindCase } from './kind-case.ts';

export const leaseCase: KindCase = {
  kind: 'lease',
  overlaps: true,
  ends: true,
  prepare: async (world) => ({
    specify: async (name) =>
      leaseSpecification(world, {
        name,
        publish: `app/${name}`,
        grace: '0s',
        deadline: '0s',
        attempt_ttl: '4s',
      }),
    works: async (_name, value) =>
      (await testPostgresLogin({ ...world.postgres, tls: false }, value ?? {})).ok,
    live: () => liveRoles(world),
    idOf: ({ username }) => String(username),
    disturb: async (_name, { lease_id, lease_ns }) => {
      await new Leases(world.vault, String(lease_ns)).revoke(String(lease_id));
      return 'lease_revoked';
    },
    close: async () => {},
  }),
};
