import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CacheFacts, judgeCache } from '../../../lib/cli/doctor/cache.ts';
import { addToPolicy, clusterServiceOf, quoted, vaultCommand } from '../../../lib/cli/doctor/commands.ts';
import { judgeLeaseTtl, type LeaseTtlFacts } from '../../../lib/cli/doctor/lease.ts';
import { judgeLeasekeeper } from '../../../lib/cli/doctor/leasekeeper.ts';
import { judgeNamespace } from '../../../lib/cli/doctor/namespace.ts';
import { report } from '../../../lib/cli/doctor/report.ts';
import { alternativesTo, judgeSecret, readPath, type SecretFacts } from '../../../lib/cli/doctor/secret.ts';

describe('commands', () => {
  it('a shell takes every word for itself', () => {
    const word = fc
      .string({ unit: 'binary-ascii', minLength: 1, maxLength: 20 })
      .filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(word, (text) => {
        expect(execFileSync('sh', ['-c', `printf %s ${quoted(text)}`], { encoding: 'utf8' })).toBe(text);
      }),
      { numRuns: 40 },
    );
  });

  it('a policy is left alone when it cannot be read', () => {
    expect(addToPolicy('', 'api', [{ path: 'a/b', capabilities: ['read'] }])).toBe(
      `policy="$(VAULT_NAMESPACE= vault policy read api)" && printf '%s\\n' "$policy" 'path "a/b" { capabilities = ["read"] }' | VAULT_NAMESPACE= vault policy write api -`,
    );
    expect(vaultCommand('team a', 'read', 'x')).toBe("VAULT_NAMESPACE='team a' vault read x");
  });

  it.each([
    ['vault.lotabots.svc', { service: 'vault', namespace: 'lotabots' }],
    ['vault.lotabots.svc.cluster.local', { service: 'vault', namespace: 'lotabots' }],
    ['vault.example.com', undefined],
  ])('%s', (hostname, expected) => {
    expect(clusterServiceOf(hostname)).toEqual(expected);
  });
});

describe('a path', () => {
  it.each([
    ['nvidia/api-key', 'lotabots', []],
    ['lotabots/nvidia/api-key', 'lotabots', ['nvidia/api-key']],
    ['nvidia/data/api-key', 'lotabots', ['nvidia/api-key']],
    ['lotabots/nvidia/data/api-key', 'lotabots', ['nvidia/data/api-key', 'nvidia/api-key']],
    ['team/lotabots/nvidia/x', 'team/lotabots', ['nvidia/x']],
    ['lotabots/nvidia/x', 'team/lotabots', ['nvidia/x']],
    ['data/api-key', 'lotabots', []],
    ['nvidia/data', 'lotabots', []],
    ['a/b', '', []],
  ])('%s under %s may be meant as %j', (path, namespace, expected) => {
    expect(alternativesTo(path, namespace).map((one) => one.path)).toEqual(expected);
  });

  const kv2 = { path: 'lotabots/nvidia', type: 'kv', kvVersion: 2 } as const;
  const fullPath = 'lotabots/nvidia/key';
  const facts: SecretFacts = {
    check: { id: 'secret:nvidia/key', title: 'Secret' },
    path: 'nvidia/key',
    fullPath,
    namespace: 'lotabots',
    authNamespace: '',
    mount: kv2,
    operatorMount: 'unknown',
    capabilities: new Map([
      [fullPath, ['read']],
      ['lotabots/nvidia/data/key', ['read']],
    ]),
    better: undefined,
    policy: 'api',
    presence: { state: 'present', version: 3, writtenAt: [] },
  };

  it.each<[string, Partial<SecretFacts>, string, string]>([
    ['there', {}, 'fine', 'version 3'],
    ['the token may not ask', { capabilities: undefined }, 'fine', 'version 3'],
    ['denied', { capabilities: new Map() }, 'wrong', 'does not allow read on lotabots/nvidia/data/key'],
    ['root', { capabilities: new Map([['lotabots/nvidia/data/key', ['root']]]) }, 'fine', 'version 3'],
    ['destroyed', { presence: { state: 'destroyed', version: 3, writtenAt: [] } }, 'wrong', 'is destroyed'],
    [
      'dynamic',
      { mount: { path: 'lotabots/nvidia', type: 'database', kvVersion: undefined } },
      'wrong',
      'for getDynamicSecret',
    ],
    [
      'a mount that the policy covers, and nobody has made',
      { mount: undefined },
      'wrong',
      'no secrets engine serves',
    ],
    [
      'a mount that only an operator sees',
      { mount: undefined, operatorMount: kv2, capabilities: new Map() },
      'wrong',
      'the policy has no rule for lotabots/nvidia/key',
    ],
    [
      'not to be seen',
      { capabilities: undefined, presence: undefined },
      'unknown',
      'does not let this token look',
    ],
  ])('%s', (_what, more, verdict, what) => {
    const given = { ...facts, ...more };
    const finding = judgeSecret(
      given.mount?.type === 'database' ? { ...given, capabilities: new Map([[fullPath, ['read']]]) } : given,
    );
    expect([finding.verdict, finding.what]).toEqual([verdict, expect.stringContaining(what)]);
  });

  it('is read where its mount says, or where the seeds have theirs', () => {
    expect(readPath({ ...facts, mount: undefined })).toBe('lotabots/nvidia/data/key');
    expect(readPath({ ...facts, mount: { path: 'lotabots', type: 'kv', kvVersion: 2 } })).toBe(
      'lotabots/data/nvidia/key',
    );
    expect(readPath({ ...facts, mount: { path: 'lotabots/nvidia', type: 'kv', kvVersion: 1 } })).toBe(
      fullPath,
    );
  });
});

describe('VAULT_NAMESPACE', () => {
  const nothing = {
    namespace: 'lotabots',
    authNamespace: '',
    inside: undefined,
    beside: [],
    besideForOperator: undefined,
  };
  it.each([
    ['a namespace', { inside: ['lotabots/nvidia'] }, 'fine', 'this token sees nvidia in it'],
    [
      'a prefix',
      { beside: ['lotabots/nvidia', 'other/x'] },
      'fine',
      'the beginning of mounts; this token sees lotabots/nvidia',
    ],
    [
      'a prefix that only an operator sees',
      { besideForOperator: ['lotabots/nvidia'] },
      'fine',
      'sees no mount',
    ],
    ['not to be told', {}, 'unknown', 'sees no mount at all'],
    ['nothing', { beside: ['lotabots2/nvidia'] }, 'wrong', 'nothing was found at lotabots'],
  ])('%s', (_what, more, verdict, what) => {
    const finding = judgeNamespace({ ...nothing, ...more });
    expect([finding.verdict, finding.what]).toEqual([verdict, expect.stringContaining(what)]);
  });
});

describe('the TTL of leases', () => {
  const facts: LeaseTtlFacts = {
    check: { id: 'lease-ttl:x', title: 'Lease TTL' },
    path: 'database/creds/api',
    authNamespace: '',
    mount: 'lotabots/database',
    engine: 'database',
    trial: { ttlSeconds: 600, renewable: true, renewed: 600, ended: 'revoked' },
    roleLimits: undefined,
    mountLimits: undefined,
    scanIntervalMs: 60_000,
    token: { ttlSeconds: 3_600, renewable: true, endless: false },
    policy: 'api',
    renewPath: 'sys/leases/renew',
  };
  const trial = { ttlSeconds: 600, renewable: true, renewed: 600, ended: 'revoked' } as const;
  const role = 'VAULT_NAMESPACE= vault write lotabots/database/roles/api';

  it.each<[Partial<LeaseTtlFacts>, string, string, string | undefined]>([
    [{}, 'fine', 'issued, 600 s, renewed, revoked again', undefined],
    [{ trial: { ...trial, ttlSeconds: 180, renewed: 180 } }, 'fine', '180 s', undefined],
    [
      { trial: { ...trial, ttlSeconds: 179 } },
      'wrong',
      'shorter than three scan intervals',
      `${role} default_ttl=1h max_ttl=24h`,
    ],
    [{ trial: { ...trial, renewed: 300 } }, 'fine', 'renewed to 300 s only', undefined],
    [{ trial: { ...trial, renewed: 'not-renewable' } }, 'fine', 'not renewable', undefined],
    [{ trial: { ...trial, renewed: 'refused' } }, 'wrong', 'engine could not renew', undefined],
    [
      { token: { ttlSeconds: 300, renewable: false, endless: false } },
      'wrong',
      'the lease dies with it',
      `${role} default_ttl=300s max_ttl=300s`,
    ],
    [
      { token: { ttlSeconds: 300, renewable: true, endless: false } },
      'fine',
      'only while the token is renewed',
      undefined,
    ],
    [
      { trial: undefined },
      'unknown',
      'only when one is issued',
      'leasekeeper doctor --dynamic database/creds/api --issue',
    ],
    [
      {
        trial: undefined,
        roleLimits: { defaultTtlSeconds: 0, maxTtlSeconds: 0 },
        mountLimits: { defaultTtlSeconds: 60, maxTtlSeconds: 90 },
      },
      'wrong',
      '60 s, at most 90 s',
      `${role} default_ttl=1h max_ttl=24h`,
    ],
    [
      { engine: 'rabbitmq', trial: { ...trial, ttlSeconds: 60 } },
      'wrong',
      'shorter',
      'VAULT_NAMESPACE= vault secrets tune -default-lease-ttl=1h -max-lease-ttl=24h lotabots/database',
    ],
  ])('%#: %j', (more, verdict, what, mend) => {
    const finding = judgeLeaseTtl({ ...facts, ...more });
    expect([finding.verdict, finding.what, finding.mend[0]]).toEqual([
      verdict,
      expect.stringContaining(what),
      mend,
    ]);
  });
});

describe('the cache', () => {
  const facts: CacheFacts = {
    cacheTtlMs: 300_000,
    staleMs: 300_000,
    maxEntries: 1_000,
    paths: 3,
    histories: [],
    memoryBytes: 512 * 1_048_576,
  };
  const every = (ms: number, count: number) => [
    { path: 'a/b', writtenAt: Array.from({ length: count }, (_, at) => at * ms) },
  ];
  it.each<[string, Partial<CacheFacts>, string, string]>([
    ['as it is by default', {}, 'fine', 'seen after 5 min, while Vault is away after 10 min; about 3.9 MiB'],
    ['too small', { maxEntries: 2 }, 'wrong', 'push each other out'],
    ['too large', { memoryBytes: 32 * 1_048_576 }, 'wrong', 'of 32 MiB of memory'],
    ['too slow', { histories: every(60_000, 3) }, 'wrong', 'a/b changes about every 60 s'],
    ['slow enough', { histories: every(300_000, 3) }, 'fine', 'about every 5 min'],
    ['of a secret that was corrected once', { histories: every(1_000, 2) }, 'fine', 'when full'],
  ])('%s', (_what, more, verdict, what) => {
    const finding = judgeCache({ ...facts, ...more });
    expect([finding.verdict, finding.what]).toEqual([verdict, expect.stringContaining(what)]);
  });
});

it.each([
  [{ leases: undefined, rotations: undefined }, undefined, 'unknown', 'do not reach'],
  [{ leases: false, rotations: false }, undefined, 'fine', 'not set up'],
  [{ leases: undefined, rotations: true }, undefined, 'fine', 'set up at leasekeeper (rotations)'],
  [{ leases: false, rotations: true }, 0, 'wrong', 'no book of leases'],
  [{ leases: true, rotations: true }, 180_000, 'fine', 'nothing is overdue'],
  [{ leases: true, rotations: true }, 180_001, 'wrong', 'has been due for 3 min'],
])('Leasekeeper with %j, overdue by %s ms', (books, overdueMs, verdict, what) => {
  const finding = judgeLeasekeeper({
    state: 'leasekeeper',
    books,
    overdueMs,
    scanIntervalMs: 60_000,
    needed: false,
  });
  expect([finding.verdict, finding.what]).toEqual([verdict, expect.stringContaining(what)]);
});

it('the report names each command once, and shows control characters as blanks', () => {
  const text = report([
    { id: 'a', title: 'One', verdict: 'fine', what: 'good\u001b[31m', mend: [] },
    { id: 'b', title: 'Second', verdict: 'wrong', what: 'bad', mend: ['mend it'] },
    { id: 'c', title: 'Third', verdict: 'wrong', what: 'bad too', mend: ['mend it'] },
    { id: 'd', title: 'Fourth', verdict: 'unknown', what: 'dark', mend: ['look'] },
  ]);
  expect(text.split('\n')).toEqual([
    '✓ One     good [31m',
    '✗ Second  bad',
    '✗ Third   bad too',
    '? Fourth  dark',
    '          to see: look',
    '',
    'To mend:',
    '',
    '✗ Second: bad',
    '    mend it',
    '',
    '✗ Third: bad too',
    '    (as above)',
    '',
    '1 fine, 2 wrong, 1 unknown',
  ]);
});
