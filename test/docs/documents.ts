import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/** A file of the project, by its path from the root. */
export function readProjectFile(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

/** Paths from the root of the files that a pattern matches. */
export function projectFiles(pattern: string): readonly string[] {
  return globSync(pattern, { cwd: root }).toSorted();
}

/** A text without its fenced code: what stands there is no prose, and its brackets are no links. */
export function withoutCode(markdown: string): string {
  return markdown.replace(/^(```+)[^\n]*\n[\s\S]*?^\1[ \t]*$/gm, '');
}

/** The contents of all fenced blocks of one language. */
export function fencedBlocks(markdown: string, language: string): readonly string[] {
  return [...markdown.matchAll(/^(```+)(\w*)[^\n]*\n([\s\S]*?)^\1[ \t]*$/gm)].flatMap(([, , found, code]) =>
    found === language && code !== undefined ? [code] : [],
  );
}

/** The headings of a document, as they are written. */
export function headingsOf(markdown: string): readonly string[] {
  return [...withoutCode(markdown).matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading = '']) => heading);
}

/** The anchors that GitHub gives to a document's headings. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  return new Set(
    headingsOf(markdown).map((heading) => {
      const slug = heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replace(/\s/g, '-');
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count === 0 ? slug : `${slug}-${count}`;
    }),
  );
}
