import { beforeAll, describe, expect, it } from 'vitest';
import { FUNCTIONS } from '../../../lib/host/identities.ts';
import type { KnownRight, ManagedAccess, SetupOptions } from '../../../lib/host/setup/options.ts';
import { planSetup } from '../../../lib/host/setup/plan.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { printPlan } from '../../../lib/host/setup/print-plan.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';

const source: KnownRight = { under: 'namespace', path: 'database/creds/app', capabilities: ['read'] };
const attempt = { tokenRole: 'leasekeeper-app', rights: [source] };
const managed: ManagedAccess = {
  name: 'app',
  publish: { mount: 'lotabots/app', path: 'database' },
  consumers: ['api-gateway'],
  rights: [],
  attempt,
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

  it('lets one service account in by all six roles, each with its own policy, if that is asked for', () => {
    const kubernetes = { mount: 'k8s', serviceAccountNamespace: 'ops', serviceAccount: 'leasekeeper' };
    const roles = planSetup({ ...options, managed: [], kubernetes }).flatMap(({ write }) =>
      write.path.startsWith('auth/k8s/role/') ? [write.body] : [],
    );
    expect(roles).toMatchObject(
      FUNCTIONS.map((name) => ({
        bound_service_account_names: ['leasekeeper'],
        bound_service_account_namespaces: ['ops'],
        token_policies: [`leasekeeper-${name}`],
      })),
    );
  });

  it('gives no path below the state mount to anybody but those who need it', () => {
    const reads = planSetup(options).flatMap(({ title, write }) =>
      String(write.body.policy).includes('leasekeeper/data/pending') ? [title] : [],
    );
    expect(reads).toEqual(['policy leasekeeper-rotate']);
  });

  it('refuses a token role that rotate may not use, or that two managed secrets share', () => {
    const foreign = { ...managed, attempt: { ...attempt, tokenRole: 'admins' } };
    expect(() => planSetup({ ...options, managed: [foreign] })).toThrow(
      expect.objectContaining({ code: 'setup_token_role_foreign' }),
    );
    expect(() => planSetup({ ...options, managed: [managed, { ...managed, name: 'other' }] })).toThrow(
      expect.objectContaining({ code: 'setup_token_role_shared' }),
    );
  });
});

describe('the printed plan', () => {
  it('says in a comment who is to be given the policy of a consumer', () => {
    expect(printPlan(planSetup(options))).toContain(
      '# policy leasekeeper-consumer-api-gateway, to be given to the role of api-gateway\n',
    );
  });

  it('quotes paths, and prints no secret', () => {
    const [step] = planSetup(options);
    if (step === undefined) throw new Error('the plan is empty');
    const body = { password: new Secret('hunter2') };
    const printed = printPlan([{ ...step, write: { method: 'PUT', path: "a'; rm -rf b", body } }]);
    expect(printed).toContain(`"$bao" write 'a'\\''; rm -rf b' - <<'JSON'`);
    expect(printed).not.toContain('hunter2');
  });
});
