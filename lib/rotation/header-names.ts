/** Names of headers that a specification may not set, or not in plain; in lower case. */

/** They belong to the connection (RFC 9110, sections 7.2 and 7.6.1; RFC 9112, section 6). */
export const OF_THE_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Specifications are stored and shown: a secret may stand in these by a placeholder only. */
export const OF_CREDENTIALS: ReadonlySet<string> = new Set([
  'api-key',
  'authorization',
  'cookie',
  'proxy-authorization',
  'x-api-key',
]);
