import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeIdentity } from './doctor-identity-scenarios.ts';
import { describeLeases } from './doctor-lease-scenarios.ts';
import { describeSecrets } from './doctor-secret-scenarios.ts';
import { describeWay } from './doctor-way-scenarios.ts';
import { createDoctorWorld, type DoctorWorld, operatorOf, USUAL } from './doctor-world.ts';

let world: DoctorWorld;
beforeAll(async () => {
  world = await createDoctorWorld();
});
afterAll(async () => {
  await world.close();
});

describe('a healthy service', () => {
  it("finds nothing wrong, with the service's own policy word for word", async () => {
    const { code, wrong, of, findings } = await world.diagnose(USUAL);

    expect([code, wrong]).toEqual([0, []]);
    expect(of('service-account-token').what).toMatch(
      /^of lotabots\/inference-service, for vault, .*good for 60 min/,
    );
    expect(of('role').what).toContain('bound to lotabots/inference-service');
    expect(of('token').what).toContain('default, inference-service');
    expect(of('token-renewal').what).toContain('tried');
    expect(of('namespace').what).toContain('no namespace but the beginning of mounts');
    expect(of('secret:nvidia/api-key').what).toBe('there, and readable; KV version 2, version 1');
    expect(of('dynamic:inference-service/model-credentials').what).toContain(
      'generations are published here',
    );
    expect(of('lease-renewal')).toMatchObject({ verdict: 'fine', what: expect.stringContaining('allows') });
    expect(of('lease-revocation').what).toContain('need not');
    expect(findings.filter(({ verdict }) => verdict === 'unknown').map(({ id }) => id)).toEqual([
      'cache-metrics',
      'leasekeeper',
    ]);
  });

  it('says the same to people, in a list that lines up', async () => {
    const lines = (await world.printed(USUAL)).split('\n');

    expect(lines[0]).toBe(`✓ VAULT_ADDR${' '.repeat(28)}${world.admin.address}`);
    expect(lines.at(-1)).toMatch(/^\d+ fine, 0 wrong, 2 unknown$/);
    expect(lines.join('\n')).not.toContain('To mend');
  });

  it('looks further with the rights of an operator', async () => {
    const { code, of } = await world.diagnose({ ...USUAL, ...operatorOf(world) });

    expect(code).toBe(0);
    expect(of('role').what).toContain(
      'bound to the service accounts inference-service of the namespaces lotabots, audience vault, policies inference-service',
    );
    expect(of('leasekeeper').what).toContain('not set up');
  });

  it('leaves no token behind', async () => {
    const before = await accessors();
    await world.diagnose(USUAL);
    expect(await accessors()).toBe(before);
  });
});

async function accessors(): Promise<number> {
  const answer = await world.admin
    .request('LIST', `${world.authNamespace}/auth/token/accessors`)
    .catch(() => undefined);
  return JSON.stringify(answer ?? '').split('","').length;
}

describeIdentity(() => world);
describeSecrets(() => world);
describeLeases(() => world);
describeWay(() => world);

it('never says a value, a token or a JWT', () => {
  const all = world.said.join('\n');
  expect(all.length).toBeGreaterThan(50_000);
  for (const secret of world.secrets) expect(all).not.toContain(secret);
  expect(all).not.toMatch(/eyJ[\w-]{10}/);
  expect(all).not.toMatch(/\b(hv)?[sbr]\.[A-Za-z0-9]{20}/);
});
