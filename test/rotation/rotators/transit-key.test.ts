import { describe, expect, it } from 'vitest';
import { minimumVersionsAfter, transitKey } from '../../../lib/rotation/rotators/transit-key.ts';

const key = { latestVersion: 5, minDecryptionVersion: 1, minEncryptionVersion: 0 };
const encryption = 'min_encryption_version' as const;
const decryption = 'min_decryption_version' as const;

describe('the minimum versions once a version is retired', () => {
  it('are those after it', () => {
    expect(minimumVersionsAfter({ version: 3, retire: encryption }, key)).toEqual({ encryption: 4 });
    expect(minimumVersionsAfter({ version: 3, retire: decryption }, key)).toEqual({
      encryption: 4,
      decryption: 4,
    });
  });

  it('stay where nothing is to be retired', () => {
    expect(minimumVersionsAfter({ version: 3, retire: 'nothing' }, key)).toBeUndefined();
  });

  it('stay for a generation that was never applied', () => {
    expect(minimumVersionsAfter({ version: undefined, retire: decryption }, key)).toBeUndefined();
  });

  it.each([5, 6])('stay when version %i, or an older one, is the latest', (version) => {
    expect(minimumVersionsAfter({ version, retire: decryption }, key)).toBeUndefined();
  });

  it('are never lowered', () => {
    const raised = { ...key, minEncryptionVersion: 5 };
    expect(minimumVersionsAfter({ version: 3, retire: encryption }, raised)).toBeUndefined();
    expect(minimumVersionsAfter({ version: 3, retire: decryption }, raised)).toEqual({
      encryption: 5,
      decryption: 4,
    });
    const both = { latestVersion: 5, minEncryptionVersion: 5, minDecryptionVersion: 5 };
    expect(minimumVersionsAfter({ version: 3, retire: decryption }, both)).toBeUndefined();
  });

  it('have encryption at least at decryption, as Vault wants it', () => {
    const raised = { ...key, minDecryptionVersion: 5 };
    expect(minimumVersionsAfter({ version: 2, retire: encryption }, raised)).toEqual({ encryption: 5 });
  });
});

describe('the specification', () => {
  const input = { kind: 'transit-key', name: 'orders', key: 'orders' };

  it('retires nothing that is needed to read', () => {
    expect(transitKey.schema.parse(input)).toMatchObject({ mount: 'transit', retire: encryption, grace: 0 });
  });

  it('wants a grace where old ciphertexts become unreadable', () => {
    const dangerous = { ...input, retire: decryption };
    expect(transitKey.schema.safeParse(dangerous).error?.issues).toMatchObject([{ path: ['grace'] }]);
    expect(transitKey.schema.safeParse({ ...dangerous, grace: '30d' }).success).toBe(true);
  });

  it('asks for no right to configure a key of which nothing is retired', () => {
    const paths = (retire: 'nothing' | typeof encryption) =>
      transitKey.rights(transitKey.schema.parse({ ...input, retire })).rotate.map(({ path }) => path);
    expect(paths('nothing')).toEqual(['transit/keys/orders', 'transit/keys/orders/rotate']);
    expect(paths(encryption)).toContain('transit/keys/orders/config');
  });
});
