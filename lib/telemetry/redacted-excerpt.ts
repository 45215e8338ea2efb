import { PRINTED_SECRET } from './secret.ts';

/** How a field is called that holds a credential: `token`, `client_secret`, `passwords`, `X-Api-Key`, `secret_access_key`. */
const NAMED =
  '(?:token|passw(?:or)?d|passphrase|pwd|secret|credential|(?:api|access|private|signing)[-_ ]?key|sess(?:ion)?[-_]?id|connect\\.sid)(?:[-_][\\w-]{0,24}|value|hash|s)?';
/** Headers whose whole value is one. */
const HEADER = '(?:authorization|cookie)';
/** Between a name and its value, in JSON (in a string of JSON, too), headers, forms, XML and logs. */
const IS = '\\\\{0,3}["\']?(?:\\s{0,2}(?:=>|[:=])\\s{0,2}|>)';

/**
 * What credentials look like in a text that somebody else wrote, and that may have been cut off anywhere. It may go on for 256 bytes at
 * most; whatever repeats without bound here takes only what the next piece cannot begin with.
 */
const CREDENTIALS: readonly RegExp[] = [
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}-----|$)/g,
  // Vault's and OpenBao's tokens, signing secrets of webhooks, NVIDIA's keys, AWS's key ids.
  /(?<![A-Za-z0-9])(?:hv[sbr]\.[\w-]{4,}|[sbr]\.[\w-]{20,})/g,
  /(?<![A-Za-z0-9])whsec_[\w+/=-]{4,}/g,
  /(?<![A-Za-z0-9])nvapi-[\w-]{8,}/g,
  /(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}/g,
  // Those of GitHub, GitLab, Slack, Stripe and OpenAI, Google, npm.
  /(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k[-_]|AIza|npm_)[\w-]{16,}/g,
  /(?<=hooks\.slack\.com\/services\/)[\w/]+/g,
  // A JWT, and what stands in an Authorization header.
  /(?<![A-Za-z0-9])eyJ[\w-]{8,}(?:\.[\w-]*){1,4}/g,
  /(?<![A-Za-z0-9])(?:Bearer|Basic)\s+(?!(?:auth|authentication|authorization|access|challenge|credentials?|scheme|token)(?![\w/+=-]))[\w.~+/=-]{8,}/gi,
  // A signature of a notice, should it be sent back.
  /(?<![A-Za-z0-9])v1,[A-Za-z0-9+/]{20,}={0,2}/g,
  // User information in a URL; cut off, it has no @, and a host has nothing but a port.
  /(?<=:\/\/)[^\s/]+(?=@)/g,
  /(?<=:\/\/)[^\s/@:["'<>]+:(?!\d{1,5}\W?$)[^\s/@"'<>]+$/g,
  // Keys and signatures in the query of a URL.
  /(?<=[?&](?:[\w-]{0,24}-)?(?:sig|signature|key|code)=)[^\s&"'<>]{8,}/gi,
  new RegExp(`(?<=${HEADER}${IS}\\\\{0,3}["']?)[^"'}]+`, 'gi'),
  // In quotes; in quotes within a string; bare.
  new RegExp(`(?<=${NAMED}${IS}")(?:[^"\\\\]|\\\\.)+`, 'gi'),
  new RegExp(`(?<=${NAMED}${IS}')(?:[^'\\\\]|\\\\.)+`, 'gi'),
  new RegExp(`(?<=${NAMED}${IS}\\\\{1,3}["'])[^"'\\\\]+`, 'gi'),
  new RegExp(`(?<=${NAMED}${IS})[^\\s"',;&}<>\\\\]+`, 'gi'),
];

/** The beginning of somebody else's text, as it may be kept and shown: whatever looks like a credential is taken out. */
export function redactedExcerpt(text: string): string {
  return CREDENTIALS.reduce((shown, pattern) => shown.replace(pattern, PRINTED_SECRET), text);
}
