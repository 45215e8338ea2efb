import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { rootCertificates } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { trustedRoots } from '../../lib/notices/trusted-roots.ts';
import { selfSigned } from './receiver.ts';

const file = path.resolve(import.meta.dirname, '../../lib/notices/trusted-roots.ts');
const texts = z.array(z.string());

/** The body of a certificate, however its lines are broken. */
const bodyOf = (pem: string) => pem.replace(/-----[A-Z ]+-----|\s/g, '');

describe('trustedRoots', () => {
  it('gives the roots that come with Node, and ours', () => {
    const roots = trustedRoots(['one', 'two']);
    expect(roots).toEqual(expect.arrayContaining([...rootCertificates]));
    expect(roots.slice(-2)).toEqual(['one', 'two']);
    expect(trustedRoots('one').at(-1)).toBe('one');
  });

  it('keeps those of NODE_EXTRA_CA_CERTS, which Node reads when it starts', async () => {
    const { cert } = selfSigned();
    const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-roots-'));
    try {
      const extra = path.join(folder, 'extra.pem');
      await writeFile(extra, cert);
      const script = `const { trustedRoots } = await import(${JSON.stringify(pathToFileURL(file).href)});
        console.log(JSON.stringify(trustedRoots('ours')));`;
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '--eval', script],
        { env: { ...process.env, NODE_EXTRA_CA_CERTS: extra }, maxBuffer: 16 * 1024 * 1024 },
      );
      const roots = texts.parse(JSON.parse(stdout));
      expect(roots.map(bodyOf)).toContain(bodyOf(cert));
      expect(roots.length).toBeGreaterThan(rootCertificates.length);
      expect(roots.at(-1)).toBe('ours');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
