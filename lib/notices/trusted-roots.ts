import tls from 'node:tls';

/**
 * The certificate authorities that are trusted when some of one's own are added: those that Node trusts by itself, and these. Each of
 * `ca` is PEM text with one certificate or several.
 *
 * Node's `ca` option replaces what Node trusts, NODE_EXTRA_CA_CERTS included; so all of it is given again here: the roots that come with
 * Node, those of NODE_EXTRA_CA_CERTS, and with `--use-system-ca` the system's. What `--use-openssl-ca` reads cannot be listed and is
 * not among them.
 */
export function trustedRoots(ca: string | readonly string[]): readonly string[] {
  return [...tls.getCACertificates('default'), ...[ca].flat()];
}
