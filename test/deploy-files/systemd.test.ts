import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findOnPath, runCommand } from '../../lib/host/local/run-command.ts';
import { readProjectFile } from '../docs/documents.ts';
import { type PythonProgram, pythonEnvironment } from '../support/python-environment.ts';
import type { PythonMissing } from '../support/python-package.ts';
import { UNIT } from './files.ts';

/** systemdlint (https://github.com/priv-kweihmann/systemdlint), from PyPI. */
const SYSTEMDLINT = {
  file: 'systemdlint.requirements.txt',
  oldestPython: [3, 9],
  modules: ['systemdlint', 'SystemdUnitParser'],
} as const;
const LINT = 'from systemdlint.__main__ import main; main()';

/** What it finds without cause. */
const EXCUSED = new Map([
  [
    'InvalidSetting LoadCredential',
    'its list of directives has none of systemd 247 and later that concern credentials',
  ],
  ['Security.UMaskOW', 'it takes 0077 for the mode of files, not for what is taken away from it'],
  ['Security.Delegate', 'a service without control groups of its own needs none delegated'],
]);

const unit = readProjectFile(UNIT);
/** What is right, what it becomes, and what is then said: by systemdlint, by systemd. */
const FAULTS = [
  { right: 'Restart=always', wrong: 'Restart=alway', lint: 'InvalidValue', verify: /restart specifier/ },
  { right: 'KeyringMode=', wrong: 'KeyringMood=', lint: 'InvalidSetting KeyringMood', verify: /KeyringMood/ },
  { right: '=strict', wrong: '=strictly', lint: 'InvalidValue', verify: /protect system/ },
];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-unit-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function written(text: string): Promise<string> {
  const file = path.join(folder, 'leasekeeper.service');
  await writeFile(file, text);
  return file;
}

describe('the unit, by systemdlint', () => {
  let found: PythonProgram | PythonMissing;
  let python: PythonProgram;

  beforeAll(async () => {
    found = await pythonEnvironment(SYSTEMDLINT, process.env);
  }, 300_000);
  beforeEach(({ skip }) => {
    if ('missing' in found) skip(`not tried, ${found.missing}`);
    else python = found;
  });

  async function lint(text: string): Promise<readonly string[]> {
    const output = path.join(folder, 'findings');
    await rm(output, { force: true });
    const options = ['--norootfs', '--nodropins', '--messageformat', '{id}|{msg}', '--output', output];
    await python(LINT, [...options, await written(text)], { timeoutMs: 30_000, cwd: folder });
    const lines = (await readFile(output, 'utf8')).split('\n');
    return lines.filter((line) => line !== '').map(findingOf);
  }

  it('has nothing but what is excused', async () => {
    expect((await lint(unit)).toSorted()).toEqual([...EXCUSED.keys()].toSorted());
  });

  it.each(FAULTS)('would not get by with $wrong', async ({ right, wrong, lint: said }) => {
    expect(unit).toContain(right);
    expect(await lint(unit.replace(right, wrong))).toContain(said);
  });
});

/** Of most findings the id is enough; `InvalidSetting` says which. */
function findingOf(line: string): string {
  const [id = '', message = ''] = line.split('|');
  return id === 'InvalidSetting' ? `${id} ${message.split(' ')[0]}` : id;
}

describe('the unit, by systemd itself', () => {
  let tool: string;

  beforeEach(async ({ skip }) => {
    tool =
      (await findOnPath('systemd-analyze', process.env)) ?? skip('not tried, systemd-analyze is not on PATH');
  });

  /** Node is where it is on this machine: whether it is at the unit's place is not what is looked at. */
  const analyze = async (args: readonly string[], text: string) =>
    runCommand(tool, [...args, await written(text.replace('/usr/bin/node', process.execPath))], {
      env: { PATH: process.env.PATH, LC_ALL: 'C' },
    });

  it('is good', async () => {
    expect(await analyze(['verify', '--man=no'], unit)).toMatchObject({ code: 0, stderr: '' });
  });

  it.each(FAULTS)('would not get by with $wrong', async ({ right, wrong, verify: said }) => {
    const { stderr } = await analyze(['verify', '--man=no'], unit.replace(right, wrong));
    expect(stderr).toMatch(said);
  });

  it('leaves little of the system to the service, and would not with less', async () => {
    // In tenths of a point. What is left is mostly that it may use the network.
    const rate = ['security', '--offline=true', '--threshold=15'];
    expect(await analyze(rate, unit)).toMatchObject({ code: 0 });
    expect((await analyze(rate, unit.replace('CapabilityBoundingSet=', ''))).code).not.toBe(0);
  });
});
