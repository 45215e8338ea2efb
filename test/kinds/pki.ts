import * as z from 'zod';
import { testCertificate } from '../../lib/rotation/probes/tls.ts';
import { joinPath } from '../../lib/vault/addressing.ts';
import { IssuedCertificates } from '../../lib/vault/issued-certificates.ts';
import { tokenNamespaceOf } from '../../lib/vault/mounts.ts';
import { adminOf, uniqueName } from '../support/admin.ts';
import type { World, WorldDescription } from '../support/world.ts';
import type { KindCase, PreparedKind } from './kind-case.ts';

const serialsSchema = z.object({ data: z.object({ keys: z.array(z.string()) }) });
const rootSchema = z.object({ data: z.object({ serial_number: z.string() }) });

export interface PreparedPki extends PreparedKind {
  readonly tokenRole: string;
  /** The issuer, in PEM. */
  readonly authority: string;
  certificates(): IssuedCertificates;
}

/**
 * A PKI engine in the world's namespace, with a root of its own, the role `web`, and a token role for attempts. `changes` are for the PKI
 * role and for the token role.
 */
export async function preparePki(
  world: World,
  changes: { readonly role?: object; readonly tokenRole?: object } = {},
): Promise<PreparedPki> {
  const { request, read } = adminOf(world);
  const mountOf = joinPath(world.namespace, 'pki');
  const within = await tokenNamespaceOf(world.vault, world.namespace, '');
  const inNamespace = (path: string) => joinPath(within, path);
  const relative = within === '' ? mountOf : 'pki';
  await request('POST', inNamespace(`sys/mounts/${relative}`), {
    type: 'pki',
    config: { max_lease_ttl: '87600h' },
  });
  const root = await read(rootSchema, 'POST', `${mountOf}/root/generate/internal`, {
    common_name: 'root.example',
    ttl: '87600h',
    key_type: 'ec',
    key_bits: 256,
  });
  await request('POST', `${mountOf}/roles/web`, {
    allow_any_name: true,
    allowed_uri_sans: '*',
    key_type: 'ec',
    key_bits: 256,
    ttl: '72h',
    max_ttl: '8760h',
    generate_lease: true,
    ...changes.role,
  });
  const policy = uniqueName('attempt-pki');
  await request('PUT', inNamespace(`sys/policies/acl/${policy}`), {
    policy: `path "${joinPath(relative, 'issue/web')}" { capabilities = ["update"] }`,
  });
  const tokenRole = `leasekeeper-pki-${world.namespace}`;
  await request('POST', inNamespace(`auth/token/roles/${tokenRole}`), {
    orphan: true,
    allowed_policies: [policy],
    token_no_default_policy: true,
    renewable: true,
    ...changes.tokenRole,
  });
  const certificates = () => new IssuedCertificates(world.vault, mountOf);
  const isGood = async (serial: string) => {
    const certificate = await certificates().read(serial);
    return certificate !== undefined && certificate.revokedAt === undefined;
  };
  return {
    tokenRole,
    authority: await textAt(world, joinPath(mountOf, 'ca/pem')),
    certificates,
    specify: async (name) => ({
      kind: 'pki',
      name,
      publish: `app/${name}`,
      grace: '0s',
      deadline: '0s',
      token_role: tokenRole,
      attempt_ttl: '4s',
      mount: 'pki',
      role: 'web',
      common_name: `${name}.example`,
      alt_names: [`www.${name}.example`],
      ip_sans: ['127.0.0.1'],
    }),
    works: async (_name, value) => {
      if (!(await isGood(String(value?.serial_number)))) return false;
      const shaken = await testCertificate(
        { kind: 'tls', valid_for: 0, timeout: 5_000 },
        value ?? {},
        Date.now(),
      );
      return shaken.ok;
    },
    live: async () => {
      const { data } = await read(serialsSchema, 'LIST', joinPath(mountOf, 'certs'));
      const ours = data.keys.filter((serial) => serial !== root.data.serial_number);
      const good = await Promise.all(ours.map(isGood));
      return ours.filter((_, n) => good[n]).sort();
    },
    idOf: ({ serial }) => String(serial),
    disturb: async (_name, { serial }) => {
      await request('POST', joinPath(mountOf, 'revoke'), { serial_number: serial });
      return 'certificate_revoked';
    },
    close: async () => {},
  };
}

/** What a PKI mount answers to anybody as text. */
export async function textAt(world: WorldDescription, path: string): Promise<string> {
  return (await fetch(`${world.address}/v1/${path}`)).text();
}

export const pkiCase: KindCase = {
  kind: 'pki',
  overlaps: true,
  ends: true,
  prepare: (world) => preparePki(world),
};
