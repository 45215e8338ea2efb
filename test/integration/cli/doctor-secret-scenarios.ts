import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { uniqueName } from '../../support/admin.ts';
import { CANARY, type DoctorWorld, operatorOf, USUAL } from './doctor-world.ts';

const createdToken = z.object({ auth: z.object({ client_token: z.string() }) });

/** What the service reads, and where it is. */
export function describeSecrets(world: () => DoctorWorld): void {
  describe('a secret', () => {
    afterEach(() => world().setPolicy());

    it('is not allowed by the policy, until the command was run', async () => {
      const seed = await readFile('vault/policies/inference-service.hcl', 'utf8');
      await world().setPolicy(seed.replace('lotabots/nvidia/*', 'lotabots/elsewhere/*'));
      const { wrong, of } = await world().diagnose(USUAL);

      expect(wrong).toEqual(['secret:nvidia/api-key']);
      const told = of('secret:nvidia/api-key');
      expect(told.what).toContain('Vault answers the same to both');
      expect(told.mend).toHaveLength(1);
      expect(told.mend[0]).toContain(`path "lotabots/nvidia/data/api-key" { capabilities = ["read"] }`);
      await world().mend(told.mend);
      expect(await world().diagnose(USUAL)).toMatchObject({ code: 0, wrong: [] });
    });

    it('is allowed at its own path, and not at the one where KV version 2 keeps it', async () => {
      await world().setPolicy('path "lotabots/nvidia/api-key" { capabilities = ["read"] }');
      const { of } = await world().diagnose({ secret: ['nvidia/api-key'] });
      expect(of('secret:nvidia/api-key').what).toMatch(
        /does not allow read on \S+\/nvidia\/data\/api-key\. It allows \S+\/nvidia\/api-key, but KV version 2 is read at/,
      );
    });

    it.each([
      ['with data/', 'nvidia/data/api-key', 'data/'],
      ['with metadata/', 'nvidia/metadata/api-key', 'metadata/'],
      ['with a part of VAULT_NAMESPACE', 'lotabots/nvidia/api-key', 'lotabots/'],
      ['with both', 'lotabots/nvidia/data/api-key', 'lotabots/ and data/'],
    ])('is typed %s', async (_what, secret, excess) => {
      const { of } = await world().diagnose({ secret: [secret] });
      expect(of(`secret:${secret}`)).toMatchObject({
        verdict: 'wrong',
        what: expect.stringContaining(`typed with ${excess} too much`),
        mend: ['leasekeeper doctor --secret nvidia/api-key'],
      });
    });

    it('is not there, until the command was run; then it was deleted, and comes back by the next', async () => {
      const run = { secret: ['nvidia/missing'] };
      const id = 'secret:nvidia/missing';
      const absent = (await world().diagnose(run)).of(id);
      expect(absent.what).toContain('there is no secret at');
      await writeFile(path.join(world().folder, 'value.json'), '{"key":"x"}');
      await world().mend(absent.mend);
      expect((await world().diagnose(run)).of(id).verdict).toBe('fine');

      await world().admin.request('DELETE', `${world().authNamespace}/lotabots/nvidia/data/missing`);
      const deleted = (await world().diagnose(run)).of(id);
      expect(deleted.what).toContain('is deleted');
      await world().mend(deleted.mend);
      expect((await world().diagnose(run)).of(id).verdict).toBe('fine');
    });

    it('is found where the policy allows the data alone, and in KV version 1', async () => {
      await world().setPolicy(
        ['nvidia/data/*', 'old/*']
          .map((at) => `path "lotabots/${at}" { capabilities = ["read"] }`)
          .join('\n'),
      );
      const { of } = await world().diagnose({
        secret: ['nvidia/api-key', 'nvidia/none', 'old/key', 'old/none'],
      });
      expect(of('secret:nvidia/api-key').what).toContain('KV version 2, version 1');
      expect(of('secret:nvidia/none').what).toContain('there is no secret');
      expect(of('secret:old/key').what).toContain('KV version 1');
      expect(of('secret:old/none').verdict).toBe('wrong');
    });

    it('is at a mount that an operator does not find either', async () => {
      const { of } = await world().diagnose({ secret: ['nvidai/api-key'], ...operatorOf(world()) });
      expect(of('secret:nvidai/api-key').what).toContain('no secrets engine serves');
    });

    it('changes more often than the cache looks', async () => {
      for (const value of ['1', '2', '3'])
        await world().admin.request('POST', `${world().authNamespace}/lotabots/shared/data/busy`, {
          data: { value },
        });
      const { wrong, of } = await world().diagnose({ secret: ['shared/busy'] });
      expect(wrong).toEqual(['cache']);
      expect(of('cache').what).toContain('shared/busy changes about every');
    });
  });

  describe('VAULT_NAMESPACE', () => {
    it('leads nowhere', async () => {
      const { wrong, of } = await world().diagnose({
        ...USUAL,
        env: { VAULT_NAMESPACE: `${world().authNamespace}/lotabot` },
      });
      expect(wrong).toEqual(['namespace']);
      expect(of('namespace').mend[0]).toBe(`export VAULT_NAMESPACE=${world().authNamespace}/lotabots`);
      expect(of('secret:nvidia/api-key').what).toBe('not looked at: see "VAULT_NAMESPACE"');
    });

    it('is a real namespace: leases are renewed there, and the policy must say so', async () => {
      const [real, policy] = [uniqueName('team'), uniqueName('policy')];
      const { request, read } = world().admin;
      await request('POST', `sys/namespaces/${real}`, {});
      await request('POST', `${real}/sys/mounts/nvidia`, { type: 'kv', options: { version: '2' } });
      await request('POST', `${real}/nvidia/data/api-key`, { data: { api_key: CANARY } });
      const seed = await readFile('vault/policies/inference-service.hcl', 'utf8');
      await request('PUT', `sys/policies/acl/${policy}`, {
        policy: seed.replaceAll('lotabots/', `${real}/`),
      });
      const { auth } = await read(createdToken, 'POST', 'auth/token/create', {
        policies: [policy],
        ttl: '1h',
      });
      world().secrets.push(auth.client_token);
      const run = {
        secret: ['nvidia/api-key'],
        dynamic: ['nvidia/api-key'],
        env: { VAULT_NAMESPACE: real, VAULT_AUTH_NAMESPACE: '', VAULT_TOKEN: auth.client_token },
      };
      const { wrong, of } = await world().diagnose(run);

      expect(of('namespace').what).toBe(`${real} is a namespace; this token sees nvidia in it`);
      expect(of('secret:nvidia/api-key').what).toContain('readable');
      expect(wrong).toEqual(['lease-renewal']);
      await world().mend(of('lease-renewal').mend);
      expect((await world().diagnose(run)).wrong).toEqual([]);
    });
  });
}
