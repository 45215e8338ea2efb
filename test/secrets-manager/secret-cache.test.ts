import { describe, expect, test } from 'vitest';
import { SecretCache } from '../../lib/secrets-manager/secret-cache.ts';
import { VaultError } from '../../lib/vault/errors.ts';

const TTL = 300_000;
const away = () => Promise.reject(new VaultError('vault_unreachable', 'away'));
const denied = () => Promise.reject(new VaultError('vault_denied', 'denied'));

/** A cache with a clock to turn, and a load that counts. */
function harness({
  staleMs = 300_000,
  maxEntries = 1_000,
  absentMs = 10_000,
  random = 0,
}: {
  staleMs?: number;
  maxEntries?: number;
  absentMs?: number;
  random?: number;
} = {}) {
  let now = 1_000_000;
  let loads = 0;
  const cache = new SecretCache<string>(
    { staleMs, maxEntries, absentMs },
    () => now,
    () => random,
  );
  const load = async () => {
    loads += 1;
    return `value ${loads}`;
  };
  return {
    cache,
    load,
    get: (key = 'a', how: () => Promise<string> = load) => cache.get(key, TTL, how),
    pass: (ms: number) => {
      now += ms;
    },
    loads: () => loads,
  };
}

describe('SecretCache', () => {
  test('keeps a value for its TTL, and not a moment longer', async () => {
    const { get, pass } = harness();
    expect(await get()).toEqual({ value: 'value 1', source: 'load' });
    pass(TTL - 1);
    expect(await get()).toEqual({ value: 'value 1', source: 'cache' });
    pass(1);
    expect(await get()).toEqual({ value: 'value 2', source: 'load' });
  });

  test('the TTL is shortened by up to a tenth', async () => {
    const { get, pass } = harness({ random: 0.999 });
    await get();
    pass(TTL * 0.91);
    expect((await get()).source).toBe('load');
  });

  test('each reader says how old an answer may be', async () => {
    const { cache, load, pass } = harness();
    await cache.get('a', TTL, load);
    pass(5_000);
    expect((await cache.get('a', 5_000, load)).source).toBe('load');
    expect((await cache.get('a', TTL, load)).value).toBe('value 2');
  });

  test('a thousand at once are one load, failed or not', async () => {
    const { get, loads } = harness();
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => get()));
    expect(new Set(answers.map(({ value }) => value))).toEqual(new Set(['value 1']));
    expect(loads()).toBe(1);
    let failures = 0;
    const failing = () => {
      failures += 1;
      return denied();
    };
    await Promise.allSettled(Array.from({ length: 1_000 }, () => get('b', failing)));
    expect(failures).toBe(1);
  });

  test('the least recently used goes first', async () => {
    const { get, cache } = harness({ maxEntries: 2 });
    await get('a');
    await get('b');
    await get('a');
    await get('c');
    expect(cache.count()).toEqual({ entries: 2, stale: 0 });
    expect((await get('a')).source).toBe('cache');
    expect((await get('b')).source).toBe('load');
  });

  test('stands in while Vault is away, within the bound, asking only now and then', async () => {
    const { get, pass } = harness({ staleMs: 60_000 });
    await get();
    pass(TTL);
    let tries = 0;
    const trying = () => {
      tries += 1;
      return away();
    };
    for (let i = 0; i < 100; i += 1) {
      expect(await get('a', trying)).toEqual({ value: 'value 1', source: 'stale' });
    }
    expect(tries).toBe(1);
    pass(2_000);
    await get('a', trying);
    expect(tries).toBe(2);
    pass(58_000);
    await expect(get('a', trying)).rejects.toMatchObject({ code: 'vault_unreachable' });
    expect(await get()).toEqual({ value: 'value 2', source: 'load' });
  });

  test('never stands in for a denial, and forgets what was denied', async () => {
    const { get, pass } = harness();
    await get();
    pass(TTL);
    await expect(get('a', denied)).rejects.toMatchObject({ code: 'vault_denied' });
    await expect(get('a', away)).rejects.toMatchObject({ code: 'vault_unreachable' });
  });

  test('what was invalidated while it was being loaded is not kept, and does not stand in', async () => {
    const { get, cache, pass, load } = harness();
    const slow = Promise.withResolvers<string>();
    const reading = get('a', () => slow.promise);
    cache.delete((key) => key === 'a');
    const newer = get('a');
    slow.resolve('old value');
    expect((await reading).value).toBe('old value');
    expect((await newer).value).toBe('value 1');
    expect(await get()).toEqual({ value: 'value 1', source: 'cache' });
    pass(TTL);
    const failing = Promise.withResolvers<string>();
    const refreshing = cache.get('a', TTL, () => failing.promise);
    cache.delete(() => true);
    failing.reject(new VaultError('vault_unreachable', 'away'));
    await expect(refreshing).rejects.toMatchObject({ code: 'vault_unreachable' });
    expect((await cache.get('a', TTL, load)).source).toBe('load');
  });

  test('a clock that is set back makes nothing fresh for ever', async () => {
    const { get, pass } = harness();
    await get();
    pass(-3_600_000);
    expect((await get()).source).toBe('load');
  });

  describe('what is not there', () => {
    const missing = new VaultError('vault_not_found', 'missing');
    const absent = () => {
      let asked = 0;
      const load = async () => {
        asked += 1;
        throw missing;
      };
      return { load, asked: () => asked };
    };

    test('is known for a short time, and no longer', async () => {
      const { get, pass } = harness();
      const { load, asked } = absent();
      for (let turn = 0; turn < 3; turn += 1) await expect(get('a', load)).rejects.toBe(missing);
      expect(asked()).toBe(1);
      pass(9_999);
      await expect(get('a', load)).rejects.toBe(missing);
      expect(asked()).toBe(1);
      pass(1);
      expect(await get('a')).toEqual({ value: 'value 1', source: 'load' });
      expect(await get('a')).toEqual({ value: 'value 1', source: 'cache' });
    });

    test('is asked for again by whoever wants no old answer, and once it was forgotten', async () => {
      const { cache, get } = harness();
      const { load, asked } = absent();
      await expect(get('a', load)).rejects.toBe(missing);
      await expect(cache.get('a', 0, load)).rejects.toBe(missing);
      expect(asked()).toBe(2);
      cache.delete((key) => key === 'a');
      await expect(get('a', load)).rejects.toBe(missing);
      expect(asked()).toBe(3);
    });

    test('pushes no value out, and is bounded itself', async () => {
      const { cache, get } = harness({ maxEntries: 2 });
      const { load, asked } = absent();
      await get('value');
      for (const key of ['a', 'b', 'c']) await expect(get(key, load)).rejects.toBe(missing);
      expect(await get('value')).toMatchObject({ source: 'cache' });
      expect(cache.count().entries).toBe(1);
      await expect(get('c', load)).rejects.toBe(missing);
      expect(asked()).toBe(3);
      await expect(get('a', load)).rejects.toBe(missing);
      expect(asked()).toBe(4);
    });

    test('was there before: the value is forgotten with it', async () => {
      const { get, pass } = harness();
      await get('a');
      pass(TTL);
      await expect(get('a', () => Promise.reject(missing))).rejects.toBe(missing);
      await expect(get('a', away)).rejects.toBe(missing);
      pass(10_000);
      await expect(get('a', away)).rejects.toMatchObject({ code: 'vault_unreachable' });
    });
  });

  test('counts what stands in', async () => {
    const { cache, get, pass } = harness();
    await get('a');
    await get('b');
    pass(TTL);
    await get('a', away);
    expect(cache.count()).toEqual({ entries: 2, stale: 1 });
    pass(2_000);
    await get('a');
    expect(cache.count()).toEqual({ entries: 2, stale: 0 });
  });
});
