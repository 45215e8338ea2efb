import { describe, expect, it } from 'vitest';
import { compare, updateOf } from '../../../lib/host/setup/compare.ts';
import { withRules } from '../../../lib/host/setup/policy-rules.ts';
import type { ReadBack, SetupBody } from '../../../lib/host/setup/step.ts';

const read = (wanted: SetupBody, further: Partial<ReadBack> = {}): ReadBack => ({
  path: 'x',
  at: ['data'],
  wanted,
  ...further,
});
const kind = (wanted: SetupBody, data: unknown, further?: Partial<ReadBack>) =>
  compare(read(wanted, further), { data }).kind;

describe('comparing what is there', () => {
  it('tells nothing from something', () => {
    expect(compare(read({ a: 1 }), undefined)).toEqual({ kind: 'missing' });
    expect(compare(read({ a: 1 }), { data: null })).toEqual({ kind: 'missing' });
    expect(compare(read({}, { at: ['data', 'kv/'] }), { data: { 'other/': {} } }).kind).toBe('missing');
    expect(kind({}, {})).toBe('same');
  });

  it('looks at the wanted fields only, lists in any order, and takes what Vault leaves out as empty', () => {
    expect(kind({ a: 1 }, { a: 1, uuid: 'x' })).toBe('same');
    expect(kind({ list: ['b', 'a'] }, { list: ['a', 'b'] })).toBe('same');
    expect(kind({ list: [], flag: false, period: 0, text: '' }, { list: null })).toBe('same');
    expect(kind({ options: { version: '2' } }, { options: { version: '2', more: 1 } })).toBe('same');
  });

  it.each([
    [{ list: [] }, { list: ['*'] }],
    [{ list: ['a'] }, { list: ['a', 'b'] }],
    [{ list: ['a', 'b'] }, { list: ['a'] }],
    [{ period: 0 }, { period: 5 }],
    [{ flag: true }, {}],
    [{ flag: false }, { flag: true }],
    [{ options: { version: '2' } }, { options: null }],
    [{ options: { version: '2' } }, { options: { version: '1' } }],
  ])('tells %j from %j', (wanted, there) => {
    expect(kind(wanted, there)).toBe('different');
  });

  it('names each field with both values', () => {
    expect(compare(read({ a: 1, b: ['x'], c: true }), { data: { a: 2, b: ['x'], c: false } })).toEqual({
      kind: 'different',
      differences: [
        { field: 'a', there: '2', wanted: '1' },
        { field: 'c', there: 'false', wanted: 'true' },
      ],
    });
  });

  it('counts a thing as missing that nobody has set yet, and only that', () => {
    const factory = { cas_required: false, max_versions: 0 };
    const wanted = { cas_required: true, max_versions: 4 };
    expect(kind(wanted, { cas_required: false, max_versions: 0 }, { factory })).toBe('missing');
    expect(kind(wanted, { cas_required: false, max_versions: 9 }, { factory })).toBe('different');
    expect(kind(wanted, { cas_required: true, max_versions: 4 }, { factory })).toBe('same');
  });

  it('tolerates members of one list by their prefix, but misses none that is wanted', () => {
    const tolerates = { field: 'token_policies', prefix: 'managed-' };
    const wanted = { token_policies: ['rotate', 'managed-a'] };
    const there = (...policies: string[]) => ({ token_policies: policies });
    expect(kind(wanted, there('rotate', 'managed-a', 'managed-b'), { tolerates })).toBe('same');
    expect(kind(wanted, there('rotate', 'managed-b'), { tolerates })).toBe('different');
    expect(kind(wanted, there('rotate', 'managed-a', 'admin'), { tolerates })).toBe('different');
    const write = { method: 'POST', path: 'x', body: { ...wanted, ttl: 60 } } as const;
    expect(
      updateOf({ read: read(wanted, { tolerates }), write }, { data: there('rotate', 'managed-b', 'admin') }),
    ).toEqual({ ...write, body: { token_policies: ['rotate', 'managed-a', 'managed-b'], ttl: 60 } });
  });

  describe('of the rules of a policy', () => {
    const rule = (path: string, capabilities: readonly string[] = ['read']) => ({ path, capabilities });
    const own = withRules('# Of one.\n', [rule('state/acks/a', ['read', 'update'])]);
    const policy = (...rules: ReturnType<typeof rule>[]) => ({ policy: withRules(own, rules) });
    const toleratesRules = {
      field: 'policy',
      under: 'state/secrets/',
      capabilities: ['read'],
      except: ['state/secrets/b', 'state/secrets/c'],
    };
    const wanted = policy(rule('state/secrets/b'));
    const comparedWith = (there: { policy: string }) => kind(wanted, there, { toleratesRules });

    it('tolerates those that another plan wrote, in any order', () => {
      expect(comparedWith(policy(rule('state/secrets/b'), rule('state/secrets/x')))).toBe('same');
      expect(comparedWith(policy(rule('state/secrets/x'), rule('state/secrets/b')))).toBe('same');
      expect(comparedWith(policy(rule('state/secrets/x')))).toBe('different');
      const [b, c] = [rule('state/secrets/b'), rule('state/secrets/c')];
      expect(kind(policy(b, c), policy(c, b), { toleratesRules })).toBe('same');
    });

    it.each([
      ['this plan knows better', rule('state/secrets/c')],
      ['allows more', rule('state/secrets/x', ['read', 'update'])],
      ['is for many', rule('state/secrets/*')],
      ['is for many', rule('state/secrets/+')],
      ['is for many', rule('state/secrets/x*')],
      ['is for what lies deeper', rule('state/secrets/x/y')],
      ['is elsewhere', rule('state/pending/x')],
    ])('tolerates none that %s: %j', (_why, more) => {
      expect(comparedWith(policy(rule('state/secrets/b'), more))).toBe('different');
    });

    it('keeps them when it updates, and nothing else', () => {
      const write = { method: 'PUT', path: 'x', body: wanted } as const;
      const there = policy(rule('state/secrets/x'), rule('state/secrets/c'), rule('state/pending/x'));
      const updated = updateOf({ read: read(wanted, { toleratesRules }), write }, { data: there });
      expect(updated.body).toEqual(policy(rule('state/secrets/b'), rule('state/secrets/x')));
    });
  });
});
