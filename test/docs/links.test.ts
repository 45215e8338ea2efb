import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { anchorsOf, headingsOf, projectFiles, readProjectFile, withoutCode } from './documents.ts';

const root = path.resolve(import.meta.dirname, '../..');
const documents = ['README.md', ...projectFiles('docs/**/*.md')];

/** Targets of all links within the project. */
function linksIn(markdown: string): readonly string[] {
  const prose = withoutCode(markdown).replace(/`[^`\n]*`/g, '');
  const targets = [...prose.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)].map(([, target = '']) => target);
  return targets.filter((target) => !/^[a-z]+:/.test(target));
}

/** What is wrong with a link, if anything is. */
function faultOf(document: string, link: string): string | undefined {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? document : path.join(path.dirname(document), decodeURIComponent(file));
  if (!existsSync(path.join(root, target))) return `${link}: there is no ${target}`;
  if (anchor === undefined) return undefined;
  return anchorsOf(readProjectFile(target)).has(anchor) ? undefined : `${link}: no such heading in ${target}`;
}

describe('the documents', () => {
  it.each(documents)('%s links only to what there is', (document) => {
    const faults = linksIn(readProjectFile(document)).flatMap((link) => faultOf(document, link) ?? []);
    expect(faults).toEqual([]);
  });

  it('have links at all', () => {
    expect(linksIn(readProjectFile('README.md')).length).toBeGreaterThan(5);
  });

  it.each(projectFiles('docs/decisions/*.md'))('%s is linked from docs/architecture.md', (decision) => {
    const link = path.relative('docs', decision);
    expect(linksIn(readProjectFile('docs/architecture.md')).map((one) => one.split('#')[0])).toContain(link);
  });
});

/** `docs/architecture.md, "HTTP"`, as hints and comments have it. */
const REFERENCE = /((?:docs\/)?[\w-]+\.md), "([^"\n]+)"/g;

describe('the sources', () => {
  const references = projectFiles('{lib,functions}/**/*.ts').flatMap((file) =>
    [...readProjectFile(file).matchAll(REFERENCE)].map(([, document = '', heading = '']) => ({
      file,
      document,
      heading,
    })),
  );

  it.each(references)('$file names a part of $document: $heading', ({ document, heading }) => {
    expect(documents).toContain(document);
    expect(headingsOf(readProjectFile(document))).toContain(heading);
  });

  it('name parts of documents', () => {
    expect(references.length).toBeGreaterThan(0);
  });
});
