import type { SetupBody, SetupCall, SetupStep } from './step.ts';

/**
 * The plan as a shell script: each policy as readable HCL, each other call as JSON. It can be read, kept under review, or run with
 * `bao` or `vault`. Paths are whole, so VAULT_NAMESPACE, which those would send as a header, is unset first.
 */
export function printPlan(steps: readonly SetupStep[]): string {
  return [HEADER, ...steps.map((step) => `# ${step.title}\n${callLines(step.write)}`)].join('\n');
}

const HEADER = `#!/bin/sh
# Prepares a Vault for Leasekeeper. For one where nothing of it is there yet: unlike \`leasekeeper setup\`, these calls overwrite.
# Needs VAULT_ADDR and VAULT_TOKEN, and \`bao\`; with HashiCorp Vault: BAO=vault.
set -eu
unset VAULT_NAMESPACE BAO_NAMESPACE
bao="\${BAO:-bao}"
`;

function callLines({ path, body }: SetupCall): string {
  const policy = onlyPolicy(body);
  const [source, text, mark] =
    policy === undefined
      ? ['-', JSON.stringify(body, null, 2), 'JSON']
      : ['policy=-', policy.trimEnd(), 'HCL'];
  return `"$bao" write ${quoted(path)} ${source} <<'${mark}'\n${text}\n${mark}\n`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function onlyPolicy(body: SetupBody): string | undefined {
  const { policy, ...others } = body;
  return typeof policy === 'string' && Object.keys(others).length === 0 ? policy : undefined;
}
