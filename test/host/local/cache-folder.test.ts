import { expect, test } from 'vitest';
import { cacheFolder } from '../../../lib/host/local/cache-folder.ts';

test.each([
  [{ LEASEKEEPER_CACHE_DIR: '/own', XDG_CACHE_HOME: '/xdg', HOME: '/home/a' }, '/own'],
  [{ XDG_CACHE_HOME: '/xdg', HOME: '/home/a' }, '/xdg/leasekeeper'],
  [{ XDG_CACHE_HOME: 'relative', HOME: '/home/a' }, '/home/a/.cache/leasekeeper'],
  [{ LEASEKEEPER_CACHE_DIR: '', XDG_CACHE_HOME: '', HOME: '/home/a' }, '/home/a/.cache/leasekeeper'],
])('%o keeps downloads in %s', (env, folder) => {
  expect(cacheFolder(env)).toBe(folder);
});
