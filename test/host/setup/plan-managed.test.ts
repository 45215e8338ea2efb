import { beforeAll, describe, expect, it } from 'vitest';
import { compare } from '../../../lib/host/setup/compare.ts';
import type { KnownRight, ManagedAccess, SetupOptions } from '../../../lib/host/setup/options.ts';
import { planSetup } from '../../../lib/host/setup/plan.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { rulesIn } from '../../../lib/host/setup/policy-rules.ts';

const bare: ManagedAccess = { name: 'app', consumers: [], rights: [] };
const published: ManagedAccess = { ...bare, publish: { mount: 'root/lotabots/app', path: 'database' } };
let options: SetupOptions;

beforeAll(async () => {
  options = {
    namespace: 'root/lotabots',
    authNamespace: 'root',
    layout: 'prefix',
    state: 'root/leasekeeper',
    maxVersions: 4,
    shards: { leases: 4, rotations: 1, deliveries: 1 },
    tokenTtlSeconds: 3_600,
    appRole: { mount: 'approle', secretIdTtlSeconds: 0 },
    managed: [],
    templates: await readPolicyTemplates(),
  };
});

function steps(managed: Partial<ManagedAccess>, changes: Partial<SetupOptions> = {}) {
  return planSetup({ ...options, managed: [{ ...bare, ...managed }], ...changes });
}

/** The rules of the policy that is written at a path, as `path: capabilities`. */
function policyAt(path: string, plan: ReturnType<typeof steps>): readonly string[] {
  const body = plan.find(({ write }) => write.path === path)?.write.body;
  if (typeof body?.policy !== 'string') throw new Error(`no policy at ${path}`);
  return rulesIn(body.policy).map((rule) => `${rule.path}: ${rule.capabilities.join(' ')}`);
}

const MANAGED = 'root/sys/policies/acl/leasekeeper-managed-app';
const kv = { mount: 'root/lotabots/app/deep', path: 'a/b', capabilities: ['read'] } as const;

describe('what a managed secret needs', () => {
  const rights: readonly (readonly [KnownRight, string, string])[] = [
    [
      { under: 'namespace', path: 'database/rotate-root/x', capabilities: ['update'] },
      'lotabots/database/rotate-root/x: update',
      'lotabots/database/rotate-root/x: update',
    ],
    [
      { under: 'auth', path: 'auth/approle/role/x/secret-id', capabilities: ['update'] },
      'auth/approle/role/x/secret-id: update',
      'auth/approle/role/x/secret-id: update',
    ],
    [
      { under: 'system', path: 'sys/policies/password/x/generate', capabilities: ['read'] },
      'sys/policies/password/x/generate: read',
      'lotabots/sys/policies/password/x/generate: read',
    ],
    [{ under: 'kv-data', ...kv }, 'lotabots/app/deep/data/a/b: read', 'lotabots/app/deep/data/a/b: read'],
    [
      { under: 'kv-metadata', ...kv },
      'lotabots/app/deep/metadata/a/b: read',
      'lotabots/app/deep/metadata/a/b: read',
    ],
    [
      { under: 'kv-destroy', ...kv },
      'lotabots/app/deep/destroy/a/b: read',
      'lotabots/app/deep/destroy/a/b: read',
    ],
    [
      { under: 'state-data', path: 'x/y', capabilities: ['create', 'read'] },
      'leasekeeper/data/x/y: create read',
      'leasekeeper/data/x/y: create read',
    ],
    [
      { under: 'state-metadata', path: 'x/y', capabilities: ['delete'] },
      'leasekeeper/metadata/x/y: delete',
      'leasekeeper/metadata/x/y: delete',
    ],
  ];

  it.each(rights)('is a rule of a policy of its own for rotate: %j', (right, inPrefix, inNamespace) => {
    const managed = { rights: [right] };
    expect(policyAt(MANAGED, steps(managed))).toEqual([inPrefix]);
    expect(policyAt(MANAGED, steps(managed, { layout: 'namespace' }))).toEqual([inNamespace]);
  });

  it('may be published, and then one path has one rule', () => {
    const rights: readonly KnownRight[] = [
      { under: 'kv-metadata', mount: 'root/lotabots/app', path: 'database', capabilities: ['delete'] },
      { under: 'kv-destroy', mount: 'root/lotabots/app', path: 'database', capabilities: ['update'] },
    ];
    expect(policyAt(MANAGED, steps({ ...published, rights }))).toEqual([
      'lotabots/app/data/database: create read update',
      'lotabots/app/metadata/database: delete patch read',
      'lotabots/app/destroy/database: update',
    ]);
    expect(policyAt(MANAGED, steps({}))).toEqual([]);
  });

  it('never takes from rotate what it may do by a rule with * of its own policy', () => {
    const rights: readonly KnownRight[] = [
      { under: 'state-data', path: 'secrets/app', capabilities: ['patch'] },
      { under: 'system', path: 'auth/token/create/leasekeeper-app', capabilities: ['read'] },
    ];
    expect(policyAt(MANAGED, steps({ rights }))).toEqual([
      'leasekeeper/data/secrets/app: patch read update',
      'auth/token/create/leasekeeper-app: read update',
    ]);
  });

  it('gives a token role only to kinds that work with attempts, where the leases are', () => {
    const right: KnownRight = { under: 'namespace', path: 'pki/issue/app', capabilities: ['update'] };
    const attempt = { tokenRole: 'leasekeeper-app', rights: [right] };
    const inPrefix = steps({ attempt });
    expect(policyAt('root/sys/policies/acl/leasekeeper-attempt-app', inPrefix)).toEqual([
      'lotabots/pki/issue/app: update',
    ]);
    expect(policyAt(MANAGED, inPrefix)).toEqual([]);
    const inNamespace = steps({ attempt }, { layout: 'namespace' });
    expect(policyAt('root/lotabots/sys/policies/acl/leasekeeper-attempt-app', inNamespace)).toEqual([
      'pki/issue/app: update',
    ]);
    const attempts = (plan: ReturnType<typeof steps>) =>
      plan.flatMap(({ write }) => (/attempt|token\/roles/.test(write.path) ? [write.path] : []));
    expect(attempts(inNamespace)).toContain('root/lotabots/auth/token/roles/leasekeeper-app');
    expect(attempts(steps({}))).toEqual([]);
  });

  it('is refused to an attempt whose token could not reach it', () => {
    const right: KnownRight = { under: 'auth', path: 'auth/approle/role/x', capabilities: ['read'] };
    const attempt = { tokenRole: 'leasekeeper-app', rights: [right] };
    expect(policyAt('root/sys/policies/acl/leasekeeper-attempt-app', steps({ attempt }))).toHaveLength(1);
    expect(() => steps({ attempt }, { layout: 'namespace' })).toThrow(
      expect.objectContaining({ code: 'setup_right_out_of_reach' }),
    );
  });
});

describe('consumers', () => {
  it('may acknowledge in their own name, each by one policy however many secrets name it', () => {
    const managed = [
      { ...bare, consumers: ['web', 'api'] },
      { ...bare, name: 'other', consumers: ['api'] },
    ];
    const plan = planSetup({ ...options, managed, consumers: ['batch', 'web'] });
    const consumers = plan.filter(({ title }) => title.includes('leasekeeper-consumer-'));
    expect(consumers.map(({ title }) => title)).toEqual(
      ['api', 'batch', 'web'].map(
        (name) => `policy root/leasekeeper-consumer-${name}, to be given to the role of ${name}`,
      ),
    );
    expect(policyAt('root/sys/policies/acl/leasekeeper-consumer-api', plan)).toEqual([
      'leasekeeper/data/acks/+/api: create read update',
      'leasekeeper/data/subscriptions/api/*: create read update',
      'leasekeeper/metadata/subscriptions/api: list',
      'leasekeeper/metadata/subscriptions/api/*: delete',
      'leasekeeper/data/secrets/app: read',
      'leasekeeper/data/secrets/other: read',
    ]);
  });

  it('may read the state of the secrets that name them, and of no others', () => {
    const managed = [
      { ...bare, consumers: ['web'] },
      { ...bare, name: 'other', consumers: ['api'] },
    ];
    const plan = planSetup({ ...options, managed, consumers: ['batch'] });
    const secretsOf = (consumer: string) =>
      policyAt(`root/sys/policies/acl/leasekeeper-consumer-${consumer}`, plan).filter((rule) =>
        rule.includes('/secrets/'),
      );
    expect(secretsOf('web')).toEqual(['leasekeeper/data/secrets/app: read']);
    expect(secretsOf('api')).toEqual(['leasekeeper/data/secrets/other: read']);
    expect(secretsOf('batch')).toEqual([]);
  });

  it('keep what another plan has written of other secrets, but of none that this one knows', () => {
    const known = [
      { ...bare, consumers: ['web'] },
      { ...bare, name: 'other' },
    ];
    const stepOf = (managed: readonly ManagedAccess[]) => {
      const found = planSetup({ ...options, managed, consumers: ['web'] }).find(({ title }) =>
        title.includes('leasekeeper-consumer-web'),
      );
      if (found === undefined) throw new Error('no policy');
      return found;
    };
    const there = (...names: string[]) => ({
      data: stepOf(names.map((name) => ({ ...bare, name, consumers: ['web'] }))).write.body,
    });
    const { read } = stepOf(known);
    expect(compare(read, there('app', 'elsewhere')).kind).toBe('same');
    expect(compare(read, there('elsewhere')).kind).toBe('different');
    expect(compare(read, there('app', 'other')).kind).toBe('different');
  });
});

describe('a hostile specification', () => {
  const hostile = [
    '*',
    '+',
    'a*',
    'a/+/b',
    'x" {',
    'x"\n}\npath "*',
    'a}',
    `\${state}`,
    '{{identity}}',
    'a b',
  ];
  const unders = [
    ...['namespace', 'auth', 'system'],
    ...['kv-data', 'kv-metadata', 'kv-destroy', 'state-data', 'state-metadata'],
  ] as const;

  it.each(hostile)('widens no policy with %j, wherever it stands', (word) => {
    const rights = unders.map(
      (under): KnownRight => ({ under, mount: 'root/lotabots/app', path: word, capabilities: ['read'] }),
    );
    const attempt = { tokenRole: 'leasekeeper-app', rights: [] };
    const everywhere: readonly Partial<ManagedAccess>[] = [
      { name: word },
      { consumers: [word] },
      { publish: { mount: 'root/lotabots/app', path: word } },
      { publish: { mount: `root/lotabots/${word}`, path: 'x' } },
      ...rights.map((right) => ({ rights: [right] })),
      ...rights.map((right) => ({ attempt: { ...attempt, rights: [right] } })),
      { name: word, attempt },
      { attempt: { ...attempt, tokenRole: `leasekeeper-${word}` } },
    ];
    for (const managed of everywhere) {
      expect(() => steps(managed), JSON.stringify(managed)).toThrow(
        expect.objectContaining({ code: 'setup_path_unsafe' }),
      );
    }
  });

  it.each(['a/b', '../x', ''])('cannot be named %j, which would be another path', (word) => {
    for (const managed of [{ name: word }, { consumers: [word] }]) {
      expect(() => steps(managed)).toThrow(expect.objectContaining({ code: 'setup_path_unsafe' }));
    }
  });

  it('has no right over what is kept of others', () => {
    const inState = { state: 'root/lotabots/leasekeeper' };
    const mount = inState.state;
    const everywhere: readonly Partial<ManagedAccess>[] = [
      { publish: { mount, path: 'secrets/other' } },
      { rights: [{ under: 'kv-data', mount, path: 'pending/other', capabilities: ['read'] }] },
      {
        rights: [{ under: 'namespace', path: 'leasekeeper/data/pending/other/1', capabilities: ['read'] }],
      },
    ];
    for (const managed of everywhere) {
      expect(() => steps(managed, inState), JSON.stringify(managed)).toThrow(
        expect.objectContaining({ code: 'setup_path_in_state' }),
      );
    }
  });
});
