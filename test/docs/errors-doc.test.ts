import { describe, expect, it } from 'vitest';
import { projectFiles, readProjectFile } from './documents.ts';

const CODE = "'([a-z][a-z0-9]*(?:_[a-z0-9]+)*)'";
const CLASSES =
  '(?:LeasekeeperError|RequestError|SetupError|LocalServerError|VaultError|HttpRequestError|StaticRoleError)';

/** Where a code stands as a literal. */
const LITERAL: readonly RegExp[] = [
  // The first argument of an error, after the status of a RequestError.
  new RegExp(`new ${CLASSES}\\(\\s*(?:\\d+,\\s*)?${CODE}`, 'g'),
  new RegExp(`\\bsuper\\(\\s*${CODE}`, 'g'),
  // What a caller over HTTP is told of a fault that is not ours.
  new RegExp(`\\bproblem\\(\\s*\\d+,\\s*${CODE}`, 'g'),
  // Why a rotation failed.
  new RegExp(`\\bfailedAt\\([^;]*?,\\s*${CODE}\\)`, 'g'),
  // Why a rotation is abandoned.
  new RegExp(`kind: 'abandon', code: ${CODE}`, 'g'),
  // What a probe found.
  new RegExp(`\\bok: false, code: ${CODE}`, 'g'),
  new RegExp(`\\bok: false, code: [^}]*? \\? ${CODE}`, 'g'),
  new RegExp(`\\bok: false, code: [^}]*? : ${CODE}`, 'g'),
  // Told by a command without being thrown.
  /leasekeeper: ([a-z]+(?:_[a-z]+)+):/g,
];

/** An error whose code is passed on by name: then every literal of its file that looks like a code counts. */
const BY_NAME = /new (?:LeasekeeperError|SetupError|LocalServerError)\(\s*[A-Za-z]/;
const ANY = /'([a-z][a-z0-9]*(?:_[a-z0-9]+)+)'/g;

/** The list VAULT_ERROR_CODES. */
const LIST = { file: 'lib/vault/errors.ts', member: /^ {2}'(vault_[a-z_]+)',$/gm };

function codesIn(file: string): readonly string[] {
  const source = readProjectFile(file);
  const patterns = [
    ...LITERAL,
    ...(BY_NAME.test(source) ? [ANY] : []),
    ...(file === LIST.file ? [LIST.member] : []),
  ];
  return patterns.flatMap((pattern) => [...source.matchAll(pattern)].map(([, code = '']) => code));
}

const inSources = new Set(projectFiles('{lib,functions}/**/*.ts').flatMap(codesIn));

/** Rows of the tables: the first cell is a code. */
const inTables = [...readProjectFile('docs/errors.md').matchAll(/^\| `([a-z0-9_]+)` \|/gm)].map(
  ([, code = '']) => code,
);

describe('docs/errors.md', () => {
  it('is compared with codes of every kind', () => {
    const ofEachKind = [
      'agenda_unreadable',
      'caller_refused',
      'vault_sealed',
      'setup_source_mount_missing',
      'notice_document_unreadable',
      'attempt_expired',
      'pending_value_missing',
      'test_value_incomplete',
      'test_login_refused',
      'test_failed',
      'internal',
      'endpoint_refused',
      'setup_differences',
    ];
    expect([...inSources]).toEqual(expect.arrayContaining(ofEachKind));
  });

  it('explains every code there is', () => {
    expect([...inSources].filter((code) => !inTables.includes(code)).toSorted()).toEqual([]);
  });

  it('explains no code that there no longer is', () => {
    expect(inTables.filter((code) => !inSources.has(code))).toEqual([]);
  });

  it('explains each code once', () => {
    expect(inTables.toSorted()).toEqual([...new Set(inTables)].toSorted());
  });
});
