import { describe, expect, it } from 'vitest';
import { checksFor } from '../../lib/cli/doctor/checks.ts';
import { readProjectFile } from './documents.ts';

const document = readProjectFile('docs/doctor.md');
const [, lists = '', all = ''] = document.split(/^## (?:The services' troubleshooting lists|All checks)$/m);
/** Ids in backquotes in one column of the rows. */
const idsIn = (part: string, column: number) =>
  part
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| check') && !line.startsWith('| sentence'))
    .flatMap((line) =>
      [...(line.split(' | ')[column] ?? '').matchAll(/`([^`]+)`/g)].map(([, id = '']) => id),
    );

const named = checksFor({ secrets: ['<path>'], dynamic: ['<path>'], consumer: 'x' });
const unnamed = checksFor({ secrets: [], dynamic: [], consumer: undefined });
const known = [...new Set([...named, ...unnamed].map(({ id }) => id))];

/** The seeds' lists, word for word; the first two are the same for both services. */
const SENTENCES = [
  'Verify the Kubernetes service account token is mounted',
  'Check the Vault role binding is correct',
  'Ensure network policies allow communication with Vault',
  'Verify the Vault policy is correctly applied',
  'Check the secret path matches the policy',
  'Ensure the service account has the correct role binding',
  'Check Vault server connectivity',
  'Verify the lease TTL is within allowed limits',
  'Ensure the policy allows lease renewal',
  'Check cache TTL settings',
  'Monitor cache hit/miss rates',
  'Verify memory usage',
];

describe('docs/doctor.md', () => {
  it('explains every check there is, and no other', () => {
    expect(idsIn(all, 0).toSorted()).toEqual(known.toSorted());
  });

  it.each(SENTENCES)('says which check looks at: %s', (sentence) => {
    const row = lists.split('\n').filter((line) => line.startsWith(`| ${sentence} |`));
    expect(row).toHaveLength(1);
    expect(known).toEqual(expect.arrayContaining(idsIn(row.join('\n').replace('| ', '| '), 1)));
    expect(idsIn(row.join('\n'), 1)).not.toEqual([]);
  });
});
