/**
 * Where things are. A *full path* starts with VAULT_NAMESPACE: `lotabots/nvidia/api-key`. The same URL then works when
 * `lotabots` is a real namespace and when it is only a prefix of mounts, so the namespace header is never sent.
 */

/** Joins path parts with single slashes; empty parts vanish. Vault answers 307 to a double slash. */
export function joinPath(...parts: readonly string[]): string {
  return parts
    .flatMap((part) => part.split('/'))
    .filter((part) => part !== '')
    .join('/');
}

/** Percent-encodes what would change the meaning of a URL path, segment by segment; slashes stay. */
export function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** A path that a caller may give: no empty, `.` or `..` segments, no control characters, at most 512 characters. */
export function isPlainPath(path: string): boolean {
  if (path.length === 0 || path.length > 512) return false;
  if (!/^[\x21-\x7e]+$/.test(path) || /[?#%\\]/.test(path)) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** The same in JSON Schema. */
export const PLAIN_PATH_JSON = {
  minLength: 1,
  maxLength: 512,
  pattern: '^(?!\\.{1,2}(/|$))[!"$&-.0->@-\\[\\]-~]+(/(?!\\.{1,2}(/|$))[!"$&-.0->@-\\[\\]-~]+)*$',
} as const;

/** A full path as it is named inside a namespace: lease ids, policies and mount paths are relative to theirs. */
export function within(namespace: string, fullPath: string): string {
  if (namespace === '') return fullPath;
  if (fullPath === namespace) return '';
  return fullPath.startsWith(`${namespace}/`) ? fullPath.slice(namespace.length + 1) : fullPath;
}

/**
 * The namespace whose `sys/leases/*` knows a lease. A lease id that begins with the prefix was issued by a mount under that prefix
 * in the authentication namespace; any other belongs to the real namespace.
 */
export function namespaceOfLease(leaseId: string, namespace: string, authNamespace: string): string {
  const prefix = within(authNamespace, namespace);
  if (prefix === '') return authNamespace;
  return leaseId.startsWith(`${prefix}/`) ? authNamespace : namespace;
}
