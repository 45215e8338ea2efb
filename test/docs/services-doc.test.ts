import { describe, expect, it } from 'vitest';
import { projectFiles, readProjectFile } from './documents.ts';

/** docs/services.md names a test for each sentence: each must be there. */
const document = readProjectFile('docs/services.md');
const files = new Map(
  [...document.matchAll(/^- `([\w-]+)` is `([\w./-]+)`$/gm)].map(([, name = '', file = '']) => [name, file]),
);
const rows = document
  .split('\n')
  .filter((line) => /^\| (?!-|sentence|cause|metric \|)/.test(line) && !line.startsWith('|---'))
  .map((line) => {
    const cells = line.split(' | ');
    return { sentence: cells[0]?.slice(2) ?? '', proof: cells.at(-1)?.replace(/ \|$/, '') ?? '' };
  });

describe('docs/services.md', () => {
  it('has a row for each of some forty sentences', () => {
    expect(rows.length).toBeGreaterThan(40);
  });

  it.each(rows)('$sentence', ({ proof }) => {
    const file = /^`(test\/[\w./-]+)`$/.exec(proof)?.[1];
    if (file !== undefined) {
      expect(projectFiles(file)).toEqual([file]);
      return;
    }
    const [name = '', title = ''] = proof.split(' › ');
    const text = readProjectFile(files.get(name) ?? '');
    expect([`'${title}'`, `"${title}"`].some((quoted) => text.includes(quoted))).toBe(true);
  });
});
