import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSpecifications } from '../../lib/cli/specification-file.ts';

const SPECIFICATION = {
  name: 'app-database',
  kind: 'lease',
  source: 'database/creds/app',
  publish: 'app/database',
  token_role: 'leasekeeper-app-database',
  grace: '10s',
  deadline: '1m',
};

describe('reading specifications', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-spec-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function read(content: unknown) {
    const file = path.join(folder, 'file');
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
    return readSpecifications(file);
  }
  const names = async (content: unknown) => (await read(content)).map(({ spec }) => spec.name);

  it('takes one, a list, and several YAML documents', async () => {
    const other = { ...SPECIFICATION, name: 'other' };
    expect(await names(SPECIFICATION)).toEqual(['app-database']);
    expect(await names([SPECIFICATION, other])).toEqual(['app-database', 'other']);
    const yaml = (specification: Record<string, string>) =>
      Object.entries(specification)
        .map(([key, value]) => `${key}: ${value}`)
        .join('\n');
    expect(await names(`---\n${yaml(SPECIFICATION)}\n---\n${yaml(other)}\n`)).toEqual([
      'app-database',
      'other',
    ]);
  });

  it('keeps what was written beside what it means', async () => {
    const [written] = await read(SPECIFICATION);
    expect(written?.input).toEqual(SPECIFICATION);
    expect(written?.spec.grace).toBe(10_000);
  });

  it.each([
    ['nothing', '', 'specification_unreadable', 'holds no specification'],
    ['no YAML', 'a: [', 'specification_unreadable', 'at line 1'],
    [
      'a missing field',
      { ...SPECIFICATION, source: undefined },
      'specification_invalid',
      'app-database: source: is missing',
    ],
    ['an unknown field', { ...SPECIFICATION, sauce: 1 }, 'specification_invalid', 'sauce'],
    [
      'a slip in a duration',
      { ...SPECIFICATION, grace: '10 s' },
      'specification_invalid',
      'app-database: grace: expected a duration',
    ],
    [
      'a slip in a schedule',
      { ...SPECIFICATION, schedule: { every: 'day' } },
      'specification_invalid',
      'app-database: schedule.every: expected a duration',
    ],
    [
      'a cron that never comes',
      { ...SPECIFICATION, schedule: { cron: '0 0 30 2 *' } },
      'specification_invalid',
      'app-database: schedule.cron: expected a cron pattern',
    ],
    ['an unknown kind', { ...SPECIFICATION, kind: 'leese' }, 'specification_invalid', 'app-database: kind:'],
    [
      'no name',
      { ...SPECIFICATION, name: undefined },
      'specification_invalid',
      'specification 1: name: is missing',
    ],
    [
      'a deadline before the grace',
      { ...SPECIFICATION, deadline: '1s' },
      'specification_invalid',
      'app-database: deadline: expected at least as long as grace',
    ],
    [
      'the same name twice',
      [SPECIFICATION, SPECIFICATION],
      'specification_invalid',
      'app-database: name: stands there more than once',
    ],
    ['a word', '"word"', 'specification_invalid', 'the whole'],
  ])('refuses %s, naming it', async (_what, content, code, text) => {
    await expect(read(content)).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
  });

  it('says when there is no such file', async () => {
    await expect(readSpecifications(path.join(folder, 'none'))).rejects.toMatchObject({
      code: 'specification_unreadable',
      message: expect.stringContaining('ENOENT'),
    });
  });
});
