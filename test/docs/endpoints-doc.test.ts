import { describe, expect, it } from 'vitest';
import { createAddressGuard } from '../../lib/notices/address-guard.ts';
import { type HostileEndpoint, hostileEndpoints } from '../notices/hostile-endpoints.ts';
import { fencedBlocks, readProjectFile } from './documents.ts';

const document = readProjectFile('docs/endpoints.md');

/** The rows of all tables below a heading, up to the next of its rank. */
function rowsUnder(heading: string): readonly string[] {
  const part = document.split(/^## /m).find((one) => one.startsWith(`${heading}\n`)) ?? '';
  return part.split('\n').filter((line) => line.startsWith('| `'));
}

/** The code spans in the first cell of a row. */
function namedIn(row: string): readonly string[] {
  return [...(row.split(' | ')[0] ?? '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

const code = (text: string) => `\`${visible(text)}\``;

/** A text in which every character is seen: others by their code point, nothing by its name. */
function visible(text: string): string {
  const codePoint = (one: string) => (one.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return text === '' ? '<empty>' : text.replaceAll(/[\p{C}\s]/gu, (one) => `<U+${codePoint(one)}>`);
}

function rowOf({ endpoint, before, resolvesTo, reason, why }: HostileEndpoint): string {
  const answer = (addresses: readonly string[] = []) => addresses.map(code).join(', ') || 'nothing';
  const now = resolvesTo === undefined ? '' : answer(resolvesTo);
  const cell = before === undefined ? now : `first ${answer(before)}, then ${now}`;
  return `| ${code(endpoint)} |${cell === '' ? '' : ` ${cell}`} | \`${reason}\`: ${why} |`;
}

describe('docs/endpoints.md', () => {
  it('has the table that is tested, line by line', () => {
    expect(rowsUnder('What is refused')).toEqual(hostileEndpoints.map(rowOf));
  });

  it('explains every reason, and no other', () => {
    const reasons = new Set(hostileEndpoints.map(({ reason }) => reason));
    expect(rowsUnder('Reasons').flatMap(namedIn).toSorted()).toEqual([...reasons].toSorted());
  });

  it('shows entries of the allow list that are accepted', () => {
    const entries = rowsUnder('Opening a private network').flatMap(namedIn);
    const lists = fencedBlocks(document, 'sh').flatMap((text) => /_ALLOW='([^']+)'/.exec(text)?.[1] ?? []);

    expect(entries.length).toBeGreaterThan(5);
    expect(lists).toHaveLength(1);
    for (const entry of [...entries, ...(lists[0]?.split(',') ?? [])]) {
      expect(() => createAddressGuard([entry]), entry).not.toThrow();
    }
  });
});
