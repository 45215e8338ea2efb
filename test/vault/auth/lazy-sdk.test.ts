import { execFile } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import * as z from 'zod';

const root = path.resolve(import.meta.dirname, '../../..');

it('AWS’s SDK is loaded for the login that needs it, and not before', async () => {
  const program = `
    import { createRequire } from 'node:module';
    const { cache } = createRequire(${JSON.stringify(pathToFileURL(path.join(root, 'x.js')).href)});
    const loaded = () => Object.keys(cache).filter((file) => /node_modules.(@aws-sdk|@smithy)/.test(file)).length;
    const { awsIamAuth, SecretsManager } = await import(${JSON.stringify(pathToFileURL(path.join(root, 'lib/index.ts')).href)});
    const { readConfig } = await import(${JSON.stringify(pathToFileURL(path.join(root, 'lib/host/config.ts')).href)});
    readConfig({ VAULT_ADDR: 'http://127.0.0.1:1', LEASEKEEPER_AUTH: 'kubernetes' });
    const method = awsIamAuth({ role: 'app', credentials: async () => ({ accessKeyId: 'a', secretAccessKey: 's' }) });
    const counts = [loaded()];
    await method.login({ now: Date.now, request: async () => { throw new Error('asked'); } }).catch(() => {});
    counts.push(loaded());
    console.log(JSON.stringify(counts));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: root,
  });
  const [before, after] = z.tuple([z.number(), z.number()]).parse(JSON.parse(stdout));
  expect(before).toBe(0);
  expect(after).toBeGreaterThan(0);
});
