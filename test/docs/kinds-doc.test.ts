import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { kinds } from '../../lib/rotation/rotators/kinds.ts';
import { specificationSchema } from '../../lib/rotation/specification.ts';
import { fencedBlocks, projectFiles, readProjectFile } from './documents.ts';

const index = readProjectFile('docs/kinds/README.md');
const pages = projectFiles('docs/kinds/*.md').filter((file) => !file.endsWith('README.md'));

it('every kind has a page, and every page a kind', () => {
  expect(pages.map((file) => file.replace(/^.*\/|\.md$/g, ''))).toEqual(Object.keys(kinds).sort());
  for (const kind of Object.keys(kinds)) expect(index).toContain(`[\`${kind}\`](${kind}.md)`);
});

describe.each(pages)('%s', (file) => {
  const page = readProjectFile(file);
  const kind = file.replace(/^.*\/|\.md$/g, '');
  const specifications = fencedBlocks(page, 'yaml').map((text): unknown => parse(text));

  it('has a specification of its kind to copy', () => {
    expect(specifications.some((one) => specificationSchema.safeParse(one).data?.kind === kind)).toBe(true);
  });

  it('has only specifications that are accepted', () => {
    for (const one of specifications) {
      expect(specificationSchema.safeParse(one).error?.issues ?? []).toEqual([]);
    }
  });
});

it('shows a new kind as the file that is tested', () => {
  const [shown] = fencedBlocks(index, 'ts');
  const source = readProjectFile('test/docs/example-kind.ts').replaceAll(
    '../../lib/rotation/rotators/',
    './',
  );
  expect(shown?.trim()).toBe(
    source.replaceAll('../../lib/rotation/', '../').replaceAll('../../lib/', '../../').trim(),
  );
});
