import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '../../errors.ts';
import { FUNCTIONS, type FunctionName } from '../identities.ts';
import { SetupError } from './setup-error.ts';

/** The files in `vault/policies`, without `.hcl`. `managed` and `attempt` are rendered once for each managed secret, `consumer` for each consumer. */
export const POLICY_FILES = [
  ...FUNCTIONS.map((name): `leasekeeper-${FunctionName}` => `leasekeeper-${name}`),
  'leasekeeper-operator',
  'leasekeeper-managed',
  'leasekeeper-attempt',
  'leasekeeper-consumer',
] as const;
export type PolicyFile = (typeof POLICY_FILES)[number];
export type PolicyTemplates = Readonly<Record<PolicyFile, string>>;

/** The templates setup needs. Throws `setup_policies_missing`. */
export async function readPolicyTemplates(): Promise<PolicyTemplates> {
  const [scan, renew, rotate, notify, fetch, manage, operator, managed, attempt, consumer] =
    await Promise.all([
      readPolicyFile('leasekeeper-scan'),
      readPolicyFile('leasekeeper-renew'),
      readPolicyFile('leasekeeper-rotate'),
      readPolicyFile('leasekeeper-notify'),
      readPolicyFile('leasekeeper-fetch'),
      readPolicyFile('leasekeeper-manage'),
      readPolicyFile('leasekeeper-operator'),
      readPolicyFile('leasekeeper-managed'),
      readPolicyFile('leasekeeper-attempt'),
      readPolicyFile('leasekeeper-consumer'),
    ]);
  return {
    'leasekeeper-scan': scan,
    'leasekeeper-renew': renew,
    'leasekeeper-rotate': rotate,
    'leasekeeper-notify': notify,
    'leasekeeper-fetch': fetch,
    'leasekeeper-manage': manage,
    'leasekeeper-operator': operator,
    'leasekeeper-managed': managed,
    'leasekeeper-attempt': attempt,
    'leasekeeper-consumer': consumer,
  };
}

/** One file of `vault/policies`. Throws `setup_policies_missing`. */
export async function readPolicyFile(name: string): Promise<string> {
  const file = path.join(policyFolder(), `${name}.hcl`);
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT') throw cause;
    throw missing(file);
  }
}

/** Beside `lib/` in the sources, beside `dist/` once built. */
function policyFolder(): string {
  for (let folder = import.meta.dirname; ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'vault', 'policies');
    if (existsSync(path.join(candidate, 'leasekeeper-scan.hcl'))) return candidate;
    if (path.dirname(folder) === folder) throw missing('vault/policies');
  }
}

function missing(what: string): SetupError {
  return new SetupError('setup_policies_missing', `${what} is not there.`, {
    hint: 'It is part of the package: install Leasekeeper again.',
  });
}
