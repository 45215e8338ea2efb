import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type DoctorWorld, operatorOf, USUAL } from './doctor-world.ts';

/** The command that changes the service's role. */
const writeRole = (world: DoctorWorld) =>
  `VAULT_NAMESPACE=${world.authNamespace} vault write auth/kubernetes/role/inference-service`;

/** Who the service is: its token, its role, what it is given. */
export function describeIdentity(world: () => DoctorWorld): void {
  describe('the service account token', () => {
    it.each([
      [
        'is not mounted',
        'absent',
        /cannot be read \(ENOENT\)/,
        /^kubectl patch deployment inference-service /,
      ],
      ['is no JWT', 'no-jwt', /holds no JWT/, /^kubectl create token/],
    ])('%s', async (_what, name, what, mend) => {
      await writeFile(path.join(world().folder, 'no-jwt'), 'nothing of the kind');
      const { code, wrong, of } = await world().diagnose({
        ...USUAL,
        serviceAccountToken: path.join(world().folder, name),
      });

      expect([code, wrong]).toEqual([1, ['service-account-token']]);
      expect(of('service-account-token').what).toMatch(what);
      expect(of('service-account-token').mend[0]).toMatch(mend);
      expect(of('login')).toMatchObject({
        verdict: 'unknown',
        what: 'not looked at: see "Service account token"',
      });
    });

    it('has expired', async () => {
      const serviceAccountToken = await world().sign('expired', { expiresInSeconds: -300 });
      const { wrong, of } = await world().diagnose({ serviceAccountToken });

      expect(wrong).toEqual(['service-account-token']);
      expect(of('service-account-token').what).toContain('has expired 5 min ago');
      expect(of('service-account-token').mend[0]).toMatch(
        /^kubectl -n lotabots create token inference-service --audience vault/,
      );
    });

    it('is for another audience', async () => {
      const serviceAccountToken = await world().sign('elsewhere', { audience: 'elsewhere' });
      const { wrong, of } = await world().diagnose({ serviceAccountToken });
      expect(wrong).toEqual(['role', 'login']);
      expect(of('login').what).toContain('the token is for elsewhere, https://kubernetes.default.svc');
      const told = await world().diagnose({ serviceAccountToken, ...operatorOf(world()) });
      expect(told.of('role').mend).toEqual([`${writeRole(world())} audience=elsewhere`]);

      await world().mend(told.of('role').mend);
      expect((await world().diagnose({ serviceAccountToken })).wrong).toEqual([]);
      await world().setRole();
    });
  });

  describe('the role', () => {
    afterEach(() => world().setRole());

    it('is not there, until the command was run', async () => {
      const run = { ...USUAL, role: 'inference-servcie' };
      const { wrong, of } = await world().diagnose(run);

      expect(wrong).toEqual(['role', 'login']);
      expect(of('login').what).toContain('invalid role name');
      expect(of('login').mend).toEqual([
        `${writeRole(world()).replace('inference-service', 'inference-servcie')} bound_service_account_names=inference-service bound_service_account_namespaces=lotabots audience=vault token_policies=inference-servcie token_ttl=1h`,
      ]);
      await world().mend(of('login').mend);
      expect((await world().diagnose(run)).of('login').verdict).toBe('fine');
    });

    it('is bound to another service account, until the command was run; who was bound stays so', async () => {
      await world().setRole({ bound_service_account_names: ['other'] });
      const { wrong, of } = await world().diagnose(USUAL);
      expect(wrong).toEqual(['role', 'login']);
      expect(of('login').what).toContain('service account name not authorized');
      expect(of('login').mend).toEqual([
        writeRole(world()).replace(' write ', ' read '),
        `${writeRole(world())} bound_service_account_names=inference-service`,
      ]);
      const told = (await world().diagnose({ ...USUAL, ...operatorOf(world()) })).of('role');
      expect(told.mend).toEqual([
        `${writeRole(world())} bound_service_account_names=other,inference-service`,
      ]);

      await world().mend(told.mend);
      expect((await world().diagnose(USUAL)).code).toBe(0);
      const serviceAccountToken = await world().sign('other', { name: 'other' });
      expect((await world().diagnose({ serviceAccountToken })).of('login').verdict).toBe('fine');
    });

    it('is bound to another namespace', async () => {
      const serviceAccountToken = await world().sign('staging', { namespace: 'staging' });
      const { of } = await world().diagnose({ serviceAccountToken });
      expect(of('login').what).toContain('namespace not authorized');
      expect(of('login').mend.at(-1)).toBe(`${writeRole(world())} bound_service_account_namespaces=staging`);
    });

    it('is looked for at an auth method that is not there', async () => {
      const env = { VAULT_AUTH_MOUNT: 'k8s' };
      expect((await world().diagnose({ env })).of('login').what).toMatch(
        /permission denied\. Either auth\/k8s/,
      );
      const { of } = await world().diagnose({ env: { ...env, ...operatorOf(world()).env } });
      expect(of('login').what).toContain('no auth method at auth/k8s');
      expect(of('login').mend[0]).toBe(
        `VAULT_NAMESPACE=${world().authNamespace} vault auth enable -path=k8s kubernetes`,
      );
    });

    it('gives tokens that are used up', async () => {
      await world().setRole({ token_num_uses: 20 });
      const { of } = await world().diagnose();
      expect(of('token')).toMatchObject({
        verdict: 'wrong',
        mend: [`${writeRole(world())} token_num_uses=0`],
      });
    });

    it('names a policy that nobody has written, as an operator sees', async () => {
      await world().setRole({ token_policies: ['absent'] });
      const { of } = await world().diagnose({ ...USUAL, ...operatorOf(world()) });
      expect(of('token').what).toContain('policies that nobody has written: absent');
      await world().mend(of('token').mend);
      expect((await world().diagnose({ ...USUAL, ...operatorOf(world()) })).code).toBe(0);
    });
  });

  describe('VAULT_TOKEN', () => {
    it('is taken in place of a login, as the service would', async () => {
      const { wrong, of } = await world().diagnose({
        ...USUAL,
        env: { VAULT_TOKEN: world().admin.rootToken, VAULT_AUTH_NAMESPACE: '' },
      });
      // At the root nothing begins with VAULT_NAMESPACE: a root token sees that as soon as there are mounts of others.
      expect(wrong).toContain('token');
      expect(of('token').what).toContain('a root token');
      expect(of('service-account-token').verdict).toBe('unknown');
    });

    it('is not good', async () => {
      const { wrong, of } = await world().diagnose({ env: { VAULT_TOKEN: 'gone' } });
      expect(wrong).toEqual(['login']);
      expect(of('login').mend).toContain('unset VAULT_TOKEN');
    });
  });
}
