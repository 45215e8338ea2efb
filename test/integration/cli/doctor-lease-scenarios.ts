import { afterAll, describe, expect, it } from 'vitest';
import { until } from '../../support/until.ts';
import { type DoctorWorld, operatorOf } from './doctor-world.ts';

/** What is issued to the service, and Leasekeeper itself. */
export function describeLeases(world: () => DoctorWorld): void {
  describe('a dynamic secret', () => {
    const dynamic = ['database/creds/model-store'];
    const id = `dynamic:${dynamic[0]}`;
    const ttl = `lease-ttl:${dynamic[0]}`;
    const withRule = (text = '') => world().setPolicy(`${SEED_RULES}\n${text}`);
    const SEED_RULES = `path "auth/token/renew-self" { capabilities = ["update"] }
  path "sys/leases/renew" { capabilities = ["update"] }`;
    const RULE = 'path "lotabots/database/creds/model-store" { capabilities = ["read"] }';
    afterAll(() => world().setPolicy());

    it('is not allowed, until the command was run', async () => {
      await withRule();
      const { of } = await world().diagnose({ dynamic, ...operatorOf(world()) });
      expect(of(id).what).toContain('the policy has no rule for');
      expect(of(ttl).verdict).toBe('unknown');
      await world().mend(of(id).mend);
      expect((await world().diagnose({ dynamic })).of(id).verdict).toBe('fine');
    });

    it('is issued, renewed and ended again when asked for, and left alone when not', async () => {
      await withRule(RULE);
      expect((await world().diagnose({ dynamic })).of(ttl)).toMatchObject({
        verdict: 'unknown',
        mend: [`leasekeeper doctor --dynamic ${dynamic[0]} --issue`],
      });
      const { code, of } = await world().diagnose({ dynamic, issue: true });
      expect([code, of(ttl).what]).toEqual([0, 'issued, 600 s, renewed, ended with its token']);
      await until(async () => !(await isLeaseLeft(world())));
    });

    it('has a TTL that is too short to be kept, until the command was run', async () => {
      await withRule(RULE);
      await world().admin.request('POST', `${world().authNamespace}/lotabots/database/roles/model-store`, {
        default_ttl: 90,
        max_ttl: 120,
      });
      const issued = await world().diagnose({ dynamic, issue: true });
      expect(issued.wrong).toEqual([ttl]);
      expect(issued.of(ttl).what).toContain('shorter than three scan intervals (180 s)');
      const read = await world().diagnose({ dynamic, ...operatorOf(world()) });
      expect(read.of(ttl).what).toMatch(/^90 s, at most 120 s with all renewals; shorter/);
      expect(
        (await world().diagnose({ dynamic, issue: true, env: { LEASEKEEPER_SCAN_INTERVAL: '20' } })).code,
      ).toBe(0);

      await world().mend(issued.of(ttl).mend);
      expect((await world().diagnose({ dynamic, issue: true })).of(ttl)).toMatchObject({
        verdict: 'fine',
        what: 'issued, 3600 s, renewed, ended with its token',
      });
    });

    it('may not be renewed', async () => {
      // The policy `default` would allow it.
      await world().setRole({ token_no_default_policy: true });
      const own = ['auth/token/lookup-self', 'sys/capabilities-self'];
      await world().setPolicy(
        [RULE, ...own.map((at) => `path "${at}" { capabilities = ["read", "update"] }`)].join('\n'),
      );
      const { wrong, of } = await world().diagnose({ dynamic, issue: true });
      expect(wrong).toEqual(['token-renewal', 'lease-renewal', ttl]);
      expect(of('token-renewal').what).toContain('does not allow auth/token/renew-self');
      expect(of(ttl).mend).toEqual(of('lease-renewal').mend);
      await world().mend([...of('token-renewal').mend, ...of(ttl).mend]);
      expect(await world().diagnose({ dynamic, issue: true })).toMatchObject({ code: 0, wrong: [] });

      await world().setPolicy(RULE);
      const blind = await world().diagnose({ dynamic, issue: true });
      expect(blind.of('token')).toMatchObject({ verdict: 'unknown' });
      expect(blind.of(id)).toMatchObject({ verdict: 'unknown' });
      await world().setRole();
    });

    it('is revoked where the policy allows it', async () => {
      await withRule(`${RULE}\npath "sys/leases/revoke" { capabilities = ["update"] }`);
      expect((await world().diagnose({ dynamic, issue: true })).of(ttl).what).toContain('revoked again');
    });

    it('is of a role that the engine does not have', async () => {
      await withRule(RULE.replace('model-store', '*'));
      const run = { dynamic: ['database/creds/none'] };
      expect(
        (await world().diagnose({ ...run, ...operatorOf(world()) })).of('dynamic:database/creds/none').what,
      ).toContain('no such role');
      expect(
        (await world().diagnose({ ...run, issue: true })).of('lease-ttl:database/creds/none').what,
      ).toContain('could not be issued');
    });
  });

  it('Leasekeeper: what a consumer may acknowledge, and whether it is set up', async () => {
    const run = {
      consumer: 'inference-service',
      env: { LEASEKEEPER_STATE_MOUNT: `${world().authNamespace}/leasekeeper` },
    };
    const { wrong, of } = await world().diagnose(run);
    expect(wrong).toEqual(['acknowledgement']);
    expect(of('leasekeeper').verdict).toBe('unknown');
    await world().mend(of('acknowledgement').mend);
    expect((await world().diagnose(run)).wrong).toEqual([]);
    await world().setPolicy();
    const env = { ...run.env, ...operatorOf(world()).env };
    expect((await world().diagnose({ ...run, env })).of('leasekeeper')).toMatchObject({
      verdict: 'wrong',
      mend: ['leasekeeper setup'],
    });
  });
}

async function isLeaseLeft(world: DoctorWorld): Promise<boolean> {
  const at = `${world.authNamespace}/sys/leases/lookup/lotabots/database/creds/model-store`;
  return world.admin.request('LIST', at).then(
    () => true,
    () => false,
  );
}
