/** A full path as it is named inside a namespace: policies and mount paths are relative to theirs. */
export function within(namespace: string, fullPath: string): string {
  if (namespace === '') return fullPath;
  if (fullPath === namespace) return '';
  return fullPath.startsWith(`${namespace}/`) ? fullPath.slice(namespace.length + 1) : fullPath;
}
