import { within } from '../../vault/addressing.ts';
import { isAllowed } from '../../vault/capabilities.ts';
import type { Mount } from '../../vault/mounts.ts';
import { kvPath, type Presence } from '../../vault/presence.ts';
import { addToPolicy, quoted, vaultCommand } from './commands.ts';
import { type Check, type Finding, fine, unknown, wrong } from './finding.ts';

/** Another way to write a path, and why somebody may have written it as it is. */
export interface Alternative {
  readonly path: string;
  /** What was typed too much: `lotabots/`, `data/`. */
  readonly excess: string;
}

/** What the judgement on any path rests on. */
export interface PathFacts {
  readonly check: Check;
  /** As it was given: after VAULT_NAMESPACE. */
  readonly path: string;
  readonly fullPath: string;
  readonly namespace: string;
  readonly authNamespace: string;
  /** As the service's token found it; undefined: no rule under it, or no such mount. Vault answers the same to both. */
  readonly mount: Mount | undefined;
  /** As an operator's token found it; undefined: no such mount. `unknown`: there is no operator's token. */
  readonly operatorMount: Mount | undefined | 'unknown';
  /** Of the paths that matter, by full path; undefined: the token may not ask. */
  readonly capabilities: ReadonlyMap<string, readonly string[]> | undefined;
  /** One that is there and that this token can read. */
  readonly better: Alternative | undefined;
  /** Whose policy to mend. */
  readonly policy: string;
}

export interface SecretFacts extends PathFacts {
  /** Undefined: Vault denied it. */
  readonly presence: Presence | undefined;
}

/** Ways in which a path may have been written with too much; whether there is a secret at one of them is still to be seen. */
export function alternativesTo(path: string, namespace: string): readonly Alternative[] {
  const found: Alternative[] = [];
  const excess = excessOf(path, namespace);
  const bare = path.slice(excess.length);
  if (excess !== '') found.push({ path: bare, excess });
  const segments = bare.split('/');
  for (const [index, segment] of segments.entries()) {
    if (index === 0 || index === segments.length - 1) continue;
    if (segment !== 'data' && segment !== 'metadata') continue;
    const shorter = segments.toSpliced(index, 1).join('/');
    found.push({ path: shorter, excess: excess === '' ? `${segment}/` : `${excess} and ${segment}/` });
  }
  return found;
}

/** The namespace, or the last segments of it, at the beginning of a path. */
function excessOf(path: string, namespace: string): string {
  const segments = namespace.split('/').filter((segment) => segment !== '');
  for (const index of segments.keys()) {
    const prefix = `${segments.slice(index).join('/')}/`;
    if (path.startsWith(prefix) && path.length > prefix.length) return prefix;
  }
  return '';
}

/** What is wrong with a path whatever kind of secret is there; undefined: nothing. */
export function pathFault(facts: PathFacts, readsAt: string): Finding | undefined {
  const { check, better, mount, operatorMount, fullPath, capabilities } = facts;
  if (mount === undefined) {
    if (better !== undefined) return excessive(facts, better);
    if (operatorMount === undefined || (operatorMount === 'unknown' && isCovered(facts)))
      return noMount(facts);
    const doubt =
      operatorMount === 'unknown' ? ', or there is no such mount: Vault answers the same to both' : '';
    return wrong(check, `the policy has no rule for ${fullPath}${doubt}`, [allow(facts, readsAt)]);
  }
  if (capabilities === undefined || isAllowed(capabilities.get(readsAt), 'read')) return undefined;
  const trap =
    readsAt !== fullPath && isAllowed(capabilities.get(fullPath), 'read')
      ? `. It allows ${fullPath}, but KV version 2 is read at ${readsAt}`
      : '';
  return wrong(check, `the policy does not allow read on ${readsAt}${trap}`, [allow(facts, readsAt)]);
}

/** The policy allows the path, and still Vault knows of no mount there. */
function isCovered({ capabilities, fullPath }: PathFacts): boolean {
  return isAllowed(capabilities?.get(fullPath), 'read');
}

function noMount({ check, fullPath, authNamespace }: PathFacts): Finding {
  return wrong(check, `no secrets engine serves ${fullPath}: is it written as it should be?`, [
    vaultCommand(authNamespace, 'secrets', 'list'),
  ]);
}

function excessive({ check, path }: PathFacts, { path: shorter, excess }: Alternative): Finding {
  const why = /^(meta)?data\/$/.test(excess)
    ? 'where KV version 2 keeps values is put in by itself'
    : 'VAULT_NAMESPACE is put before every path by itself';
  return wrong(check, `${path} is typed with ${excess} too much (${why}): the secret is at ${shorter}`, [
    `leasekeeper doctor --secret ${quoted(shorter)}`,
  ]);
}

function allow({ authNamespace, policy }: PathFacts, readsAt: string): string {
  return addToPolicy(authNamespace, policy, [
    { path: within(authNamespace, readsAt), capabilities: ['read'] },
  ]);
}

/** A path of `getSecret`. */
export function judgeSecret(facts: SecretFacts): Finding {
  const { check, mount, fullPath, presence, better, path } = facts;
  // Without knowing better a mount is taken for KV v2 at the first segment, as in the services' own paths.
  const readsAt = readPath(facts);
  const fault = pathFault(facts, readsAt);
  if (fault !== undefined) return fault;
  if (mount !== undefined && mount.kvVersion === undefined) {
    return wrong(
      check,
      `${fullPath} is served by the ${mount.type} engine: it is a dynamic secret, for getDynamicSecret`,
      [`leasekeeper doctor --dynamic ${quoted(path)}`],
    );
  }
  if (mount === undefined || presence === undefined) {
    return unknown(check, `Vault does not let this token look at ${fullPath}`, [
      vaultCommand(facts.authNamespace, 'read', readsAt),
    ]);
  }
  if (presence.state === 'present') return fine(check, `there, and readable; ${versionOf(mount, presence)}`);
  if (better !== undefined) return excessive(facts, better);
  return absent(facts, mount, presence);
}

function absent({ check, fullPath, authNamespace }: SecretFacts, mount: Mount, presence: Presence): Finding {
  const key = fullPath.slice(mount.path.length + 1);
  const mountPath = within(authNamespace, mount.path);
  const put = vaultCommand(authNamespace, 'kv', 'put', `-mount=${mountPath}`, key, '@value.json');
  if (presence.state === 'deleted') {
    return wrong(check, `the newest version of ${fullPath}, ${presence.version}, is deleted`, [
      // `vault kv undelete -mount` takes the mount for its last segment (seen on OpenBao 2.7 in a namespace).
      vaultCommand(authNamespace, 'write', `${mountPath}/undelete/${key}`, `versions=${presence.version}`),
    ]);
  }
  const what =
    presence.state === 'destroyed'
      ? `the newest version of ${fullPath}, ${presence.version}, is destroyed`
      : `there is no secret at ${fullPath}, though the policy allows it`;
  return wrong(check, `${what}. Write it, with its fields as JSON in a file`, [put]);
}

function versionOf(mount: Mount, { version }: Presence): string {
  return mount.kvVersion === 2 ? `KV version 2, version ${version}` : 'KV version 1';
}

/** Where a value is read. */
export function readPath({
  mount,
  operatorMount,
  fullPath,
  namespace,
}: Pick<PathFacts, 'mount' | 'operatorMount' | 'fullPath' | 'namespace'>): string {
  const known = mount ?? (operatorMount === 'unknown' ? undefined : operatorMount);
  if (known !== undefined) return kvPath(known, fullPath);
  const [first = '', ...rest] = within(namespace, fullPath).split('/');
  const guessed = {
    path: namespace === '' ? first : `${namespace}/${first}`,
    type: 'kv',
    kvVersion: 2,
  } as const;
  return rest.length === 0 ? fullPath : kvPath(guessed, fullPath);
}
