/** One rule of a policy. `path` is as the policy's namespace has it. */
export interface Rule {
  readonly path: string;
  readonly capabilities: readonly string[];
}

const PLAIN_WORD = /^[A-Za-z0-9_.,:=@%+/-]+$/;

/** A word as a POSIX shell takes it for itself. */
export function quoted(word: string): string {
  return PLAIN_WORD.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * A command of Vault's own client (`bao` takes the same). VAULT_NAMESPACE is set for it, because that client sends the variable as a
 * header, while here it is the beginning of every path.
 */
export function vaultCommand(namespace: string, ...args: readonly string[]): string {
  return `VAULT_NAMESPACE=${namespace === '' ? '' : quoted(namespace)} vault ${args.map(quoted).join(' ')}`;
}

/** Sets a variable for the service: in its manifest, or in the shell in which the doctor runs again. */
export function exportCommand(variable: string, value: string): string {
  return `export ${variable}=${quoted(value)}`;
}

function ruleText({ path, capabilities }: Rule): string {
  // HCL escapes in strings as JSON does; `${` would begin a template in newer versions, and no path has it.
  return `path ${JSON.stringify(path)} { capabilities = ${JSON.stringify(capabilities)} }`;
}

/** Adds rules to a policy that is there, and leaves it alone when it cannot be read: writing replaces a policy as a whole. */
export function addToPolicy(namespace: string, policy: string, rules: readonly Rule[]): string {
  const lines = rules.map((rule) => quoted(ruleText(rule))).join(' ');
  const read = vaultCommand(namespace, 'policy', 'read', policy);
  const write = vaultCommand(namespace, 'policy', 'write', policy, '-');
  return `policy="$(${read})" && printf '%s\\n' "$policy" ${lines} | ${write}`;
}

/** Writes a policy that is not there yet. */
export function writePolicy(namespace: string, policy: string, rules: readonly Rule[]): string {
  const lines = rules.map((rule) => quoted(ruleText(rule))).join(' ');
  return `printf '%s\\n' ${lines} | ${vaultCommand(namespace, 'policy', 'write', policy, '-')}`;
}

/** Of a service address inside a cluster: `vault.lotabots.svc:8200`. */
export interface ClusterService {
  readonly service: string;
  readonly namespace: string;
}

export function clusterServiceOf(hostname: string): ClusterService | undefined {
  const match = /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\..+)?$/.exec(hostname);
  const [, service, namespace] = match ?? [];
  return service === undefined || namespace === undefined ? undefined : { service, namespace };
}
