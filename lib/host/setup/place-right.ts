import { joinPath } from '../../vault/addressing.ts';
import type { KnownRight, SetupOptions } from './options.ts';
import type { PolicyRule } from './policy-rules.ts';
import { safeValue } from './render-policy.ts';
import { SetupError } from './setup-error.ts';

/** Where things are in one Vault. */
export type Place = Pick<SetupOptions, 'namespace' | 'authNamespace' | 'layout' | 'state'>;

/** The namespace of attempts' tokens, their roles and their policies: that of the leases they make. */
export function tokenNamespaceIn({ layout, namespace, authNamespace }: Place): string {
  return layout === 'namespace' ? namespace : authNamespace;
}

/** A right as a rule of a policy in `policyNamespace`. Throws `setup_path_unsafe`, `setup_path_in_state`, `setup_right_out_of_reach`. */
export function ruleOf(right: KnownRight, place: Place, policyNamespace: string): PolicyRule {
  const fullPath = fullPathOf(right, place);
  if (!right.under.startsWith('state-')) assertOutsideState(fullPath, place);
  return {
    path: safeValue(pathIn(policyNamespace, fullPath)),
    capabilities: right.capabilities,
    ...(right.parameters === undefined ? {} : { parameters: right.parameters.map(safeValue) }),
  };
}

/** The full path that a right is for. */
export function fullPathOf(right: KnownRight, place: Place): string {
  switch (right.under) {
    case 'namespace':
      return joinPath(place.namespace, right.path);
    case 'auth':
      return joinPath(place.authNamespace, right.path);
    case 'system':
      return joinPath(tokenNamespaceIn(place), right.path);
    case 'kv-data':
    case 'kv-metadata':
    case 'kv-destroy':
      return joinPath(right.mount, right.under.slice('kv-'.length), right.path);
    case 'state-data':
    case 'state-metadata':
      return joinPath(place.state, right.under.slice('state-'.length), right.path);
  }
}

/** A specification gives no rights over what is kept about others. Throws `setup_path_in_state`. */
export function assertOutsideState(fullPath: string, { state }: Place): void {
  if (fullPath !== state && !fullPath.startsWith(`${state}/`)) return;
  throw new SetupError('setup_path_in_state', `A managed secret names ${fullPath}, in the state mount.`, {
    hint: 'What Leasekeeper keeps there is its own. Name a path in another mount.',
  });
}

/** A policy reaches its own namespace and those below it, by paths within. */
function pathIn(namespace: string, fullPath: string): string {
  if (namespace === '') return fullPath;
  if (fullPath.startsWith(`${namespace}/`)) return fullPath.slice(namespace.length + 1);
  throw new SetupError(
    'setup_right_out_of_reach',
    `A policy in the namespace ${namespace} cannot allow ${fullPath}.`,
    { hint: 'It lies outside that namespace. This kind of managed secret cannot be used in this layout.' },
  );
}
