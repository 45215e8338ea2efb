import { beforeAll, describe, expect, it } from 'vitest';
import type { SetupOptions } from '../../../lib/host/setup/options.ts';
import { planSetup } from '../../../lib/host/setup/plan.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { printPlan } from '../../../lib/host/setup/print-plan.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';

const managed = {
  name: 'app',
  tokenRole: 'leasekeeper-app',
  source: 'lotabots/database/creds/app',
  publishMount: 'lotabots/app',
  publishPath: 'database',
};
let options: SetupOptions;

beforeAll(async () => {
  options = {
    namespace: 'lotabots',
    authNamespace: '',
    layout: 'prefix',
    state: 'leasekeeper',
    maxVersions: 4,
    shards: { leases: 4, rotations: 1, deliveries: 1 },
    tokenTtlSeconds: 3_600,
    managed: [managed],
    templates: await readPolicyTemplates(),
  };
});

describe('the plan', () => {
  const paths = (changes: Partial<SetupOptions> = {}) =>
    planSetup({ ...options, ...changes }).map(({ write }) => write.path);

  it('puts token roles of attempts, and their policies, where the leases are', () => {
    expect(paths()).toContain('auth/token/roles/leasekeeper-app');
    expect(paths({ layout: 'namespace' })).toEqual(
      expect.arrayContaining([
        'lotabots/auth/token/roles/leasekeeper-app',
        'lotabots/sys/policies/acl/leasekeeper-attempt-app',
        'sys/policies/acl/leasekeeper-managed-app',
      ]),
    );
  });

  it('gives Kubernetes roles to service accounts of their own, for an audience', () => {
    const kubernetes = { mount: 'k8s', serviceAccountNamespace: 'ops', audience: 'vault' };
    const steps = planSetup({ ...options, kubernetes });
    expect(
      steps.find(({ write }) => write.path === 'auth/k8s/role/leasekeeper-scan')?.write.body,
    ).toMatchObject({
      bound_service_account_names: ['leasekeeper-scan'],
      bound_service_account_namespaces: ['ops'],
      audience: 'vault',
      token_policies: ['leasekeeper-scan'],
      token_no_default_policy: true,
    });
    // The auth method itself belongs to whoever runs the cluster.
    expect(paths({ kubernetes })).not.toContain('sys/auth/k8s');
  });

  it('gives no path below the state mount to anybody but those who need it', () => {
    const reads = planSetup(options).flatMap(({ title, write }) =>
      String(write.body.policy).includes('leasekeeper/data/pending') ? [title] : [],
    );
    expect(reads).toEqual(['policy leasekeeper-rotate']);
  });

  it.each([
    [{ tokenRole: 'admins' }, 'setup_token_role_foreign'],
    [{ source: 'lotabots/database/creds/*' }, 'setup_path_unsafe'],
    [{ publishPath: '+' }, 'setup_path_unsafe'],
  ])('refuses a managed secret with %j', (change, code) => {
    expect(() => planSetup({ ...options, managed: [{ ...managed, ...change }] })).toThrow(
      expect.objectContaining({ code }),
    );
  });

  it('refuses a token role that two managed secrets share', () => {
    expect(() => planSetup({ ...options, managed: [managed, { ...managed, name: 'other' }] })).toThrow(
      expect.objectContaining({ code: 'setup_token_role_shared' }),
    );
  });
});

describe('the printed plan', () => {
  it('quotes paths, and prints no secret', () => {
    const [step] = planSetup(options);
    if (step === undefined) throw new Error('the plan is empty');
    const body = { password: new Secret('hunter2') };
    const printed = printPlan([{ ...step, write: { method: 'PUT', path: "a'; rm -rf b", body } }]);
    expect(printed).toContain(`"$bao" write 'a'\\''; rm -rf b' - <<'JSON'`);
    expect(printed).not.toContain('hunter2');
  });
});
