import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePath, isPlainPath, joinPath, namespaceOfLease } from '../../lib/vault/addressing.ts';

describe('paths', () => {
  it('are joined with single slashes, whatever their parts look like', () => {
    expect(joinPath('', 'sys', '/leases/', 'renew')).toBe('sys/leases/renew');
    fc.assert(
      fc.property(fc.array(fc.string()), (parts) => {
        expect(joinPath(...parts)).not.toMatch(/^\/|\/\/|\/$/);
        expect(
          joinPath(...parts)
            .split('/')
            .join(''),
        ).toBe(parts.join('').split('/').join(''));
      }),
    );
  });

  it('are encoded segment by segment, so that no name changes the meaning of a URL', () => {
    expect(encodePath('a b/c?d/e#f/g%h')).toBe('a%20b/c%3Fd/e%23f/g%25h');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (name) => {
        const url = new URL(`http://vault/v1/${encodePath(`x${name}`)}`);
        expect([url.search, url.hash, url.host]).toEqual(['', '', 'vault']);
      }),
    );
  });

  it.each([
    ['database/creds/api-gateway', true],
    ['nvidia/api_key.v1+2', true],
    ['', false],
    ['/a', false],
    ['a/', false],
    ['a//b', false],
    ['a/../b', false],
    ['./a', false],
    ['a/..', false],
    ['a b', false],
    ['a?b', false],
    ['a#b', false],
    ['a%2e%2e/b', false],
    ['a\\b', false],
    ['a\nb', false],
    ['ä', false],
    ['a'.repeat(512), true],
    ['a'.repeat(513), false],
    ['...', true],
  ])('from a caller: %j is taken: %s', (path, plain) => {
    expect(isPlainPath(path)).toBe(plain);
  });

  it('that are taken reach Vault as they were given', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (path) => {
        fc.pre(isPlainPath(path));
        expect(decodeURIComponent(new URL(`http://vault/v1/${encodePath(path)}`).pathname)).toBe(
          `/v1/${path}`,
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe('the namespace that knows a lease', () => {
  it.each([
    // A prefix of mounts: the lease id says so.
    ['team/database/creds/app/x', 'team', '', ''],
    // A real namespace: lease ids are relative to it.
    ['database/creds/app/x', 'team', '', 'team'],
    ['teammate/creds/x', 'team', '', 'team'],
    // None at all.
    ['database/creds/app/x', '', '', ''],
    ['database/creds/app/x', 'team', 'team', 'team'],
    // Logins are in a namespace of their own.
    ['team/database/creds/x', 'team', 'login', 'login'],
    ['database/creds/x', 'team', 'login', 'team'],
  ])('%s, of %j with logins in %j: %j', (leaseId, namespace, authNamespace, expected) => {
    expect(namespaceOfLease(leaseId, namespace, authNamespace)).toBe(expected);
  });
});
