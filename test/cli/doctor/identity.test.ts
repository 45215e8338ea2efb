import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { isBound, judgeLogin, judgeRole, type LoginFacts } from '../../../lib/cli/doctor/login.ts';
import { judgeServiceAccountToken, span } from '../../../lib/cli/doctor/service-account-token.ts';
import { judgeToken, judgeTokenRenewal, type TokenFacts } from '../../../lib/cli/doctor/token.ts';

const NOW = Date.parse('2026-11-22T00:00:00Z');
const SECOND = NOW / 1_000;

async function tokenOf(claims: Record<string, unknown>): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.alloc(32, 1));
}

describe('the service account token', () => {
  const sub = 'system:serviceaccount:lotabots:inference-service';
  const judge = async (claims: Record<string, unknown>) =>
    judgeServiceAccountToken(
      { file: '/token', role: 'r', content: { text: `${await tokenOf(claims)}\n` } },
      NOW,
    );

  it.each([
    [
      'good',
      { sub, aud: ['vault'], exp: SECOND + 600 },
      'fine',
      'of lotabots/inference-service, for vault, good for 10 min',
    ],
    ['without an end or audience', { sub }, 'fine', 'for no audience, without an end'],
    ['at its very end', { sub, exp: SECOND }, 'wrong', 'has expired 0 s ago'],
    ['of the future', { sub, nbf: SECOND + 60 }, 'wrong', 'valid in 60 s only'],
    ['of somebody', { sub: 'alice', exp: SECOND + 600 }, 'wrong', 'not that of a service account'],
  ])('%s', async (_what, claims, verdict, what) => {
    const { finding, claims: read } = await judge(claims);
    expect([finding.verdict, finding.what, read !== undefined]).toEqual([
      verdict,
      expect.stringContaining(what),
      verdict === 'fine',
    ]);
  });

  it.each([
    [{ text: ' \n' }, 'is empty'],
    [{ text: 'word' }, 'no JWT'],
    [{ code: 'ENOENT' }, 'not mounted'],
    [{ code: 'EACCES' }, 'may not read it'],
  ])('%j', (content, what) => {
    const { finding } = judgeServiceAccountToken({ file: '/token', role: 'r', content }, NOW);
    expect([finding.verdict, finding.what]).toEqual(['wrong', expect.stringContaining(what)]);
    expect(finding.mend).not.toEqual([]);
  });

  it.each([
    [119_000, '119 s'],
    [7_199_000, '120 min'],
    [86_400_000, '24 h'],
    [-259_200_000, '3 d'],
  ])('%i ms is %s', (ms, text) => {
    expect(span(ms)).toBe(text);
  });
});

describe('the role', () => {
  const facts: LoginFacts = {
    role: 'api',
    mount: 'kubernetes',
    authNamespace: '',
    claims: {
      namespace: 'lotabots',
      name: 'gateway',
      audiences: ['vault'],
      expiresAt: undefined,
      validFrom: undefined,
    },
    lookup: undefined,
    refusal: undefined,
  };
  const role = {
    serviceAccounts: ['gateway'],
    namespaces: ['lotabots'],
    namespaceSelector: '',
    audience: 'vault',
    policies: ['api'],
  };
  const there = (more: Partial<typeof role>) => ({ state: 'there', role: { ...role, ...more } }) as const;

  it.each([
    [['*'], 'gateway', true],
    [['gate*'], 'gateway', true],
    [['*way'], 'gateway', true],
    [['gate.ay'], 'gateway', false],
    [['gate'], 'gateway', false],
    [[], 'gateway', false],
  ])('%j binds %s: %s', (patterns, name, expected) => {
    expect(isBound(patterns, name)).toBe(expected);
  });

  it.each([
    [{}, []],
    [{ serviceAccounts: ['a', 'b'] }, ['bound_service_account_names=a,b,gateway']],
    [{ namespaces: ['x'] }, ['bound_service_account_namespaces=x,lotabots']],
    [{ namespaces: ['x'], namespaceSelector: '{}' }, []],
    [{ audience: 'other' }, ['audience=vault']],
    [{ audience: '' }, []],
    [{ policies: [] }, ['token_policies=api']],
    [{ serviceAccounts: ['a'], audience: 'other' }, ['bound_service_account_names=a,gateway audience=vault']],
  ])('bound as %j', (more, fields) => {
    const finding = judgeRole({ ...facts, lookup: there(more) });
    expect(finding.mend).toEqual(
      fields.map((field) => `VAULT_NAMESPACE= vault write auth/kubernetes/role/api ${field}`),
    );
  });

  it('is unknown where neither Vault nor an operator says anything', () => {
    const refusal = { kind: 'denied', message: 'denied' } as const;
    expect(judgeRole({ ...facts, refusal })).toMatchObject({
      verdict: 'unknown',
      mend: ['VAULT_NAMESPACE= vault read auth/kubernetes/role/api'],
    });
    expect(judgeLogin({ ...facts, refusal }).what).toContain('could not have the token reviewed');
  });

  it.each([
    ['not-configured', 'auth/kubernetes/config'],
    ['mount-unknown', 'auth enable -path=kubernetes kubernetes'],
    ['token-expired', 'date -u'],
  ] as const)('%s is the method, not the role', (kind, mend) => {
    expect(judgeLogin({ ...facts, refusal: { kind, message: '' } }).mend[0]).toContain(mend);
  });
});

describe('the token', () => {
  const facts: TokenFacts = {
    details: {
      policies: ['default', 'api'],
      ttlSeconds: 3_500,
      creationTtlSeconds: 3_600,
      explicitMaxTtlSeconds: 0,
      periodSeconds: 0,
      renewable: true,
      usesLeft: 0,
      isBatch: false,
      endless: false,
    },
    role: 'api',
    mount: 'kubernetes',
    authNamespace: '',
    renewSelf: ['update'],
    renewedSeconds: 3_600,
    missingPolicies: undefined,
    needed: [],
  };
  const token = (more: Partial<TokenFacts['details']>, rest: Partial<TokenFacts> = {}): TokenFacts => ({
    ...facts,
    ...rest,
    details: { ...facts.details, ...more },
  });

  it.each([
    [{}, 'fine', 'policies default, api; 58 min to live'],
    [{ periodSeconds: 3_600 }, 'fine', 'a period of 60 min'],
    [{ policies: ['default'] }, 'wrong', 'no policy of its own'],
    [{ policies: ['root'] }, 'wrong', 'a root token'],
    [{ usesLeft: 3 }, 'wrong', '3 times more'],
  ])('%j', (more, verdict, what) => {
    const finding = judgeToken(token(more));
    expect([finding.verdict, finding.what]).toEqual([verdict, expect.stringContaining(what)]);
  });

  it.each([
    [token({}), 'fine', 'tried: good for another 60 min'],
    [token({}, { renewedSeconds: 1_200 }), 'fine', 'gives 20 min only: the max TTL is near'],
    [token({ renewable: false, isBatch: true }), 'wrong', 'a batch token'],
    [token({ endless: true, renewable: false }), 'fine', 'no end'],
    [
      token({}, { renewSelf: ['deny'], renewedSeconds: undefined }),
      'wrong',
      'does not allow auth/token/renew-self',
    ],
    [token({ renewable: false }, { role: undefined }), 'wrong', 'nobody replaces VAULT_TOKEN'],
  ] as const)('renewal %#', (given, verdict, what) => {
    const finding = judgeTokenRenewal(given);
    expect([finding.verdict, finding.what]).toEqual([verdict, expect.stringContaining(what)]);
  });
});
