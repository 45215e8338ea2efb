import { CHECKS } from './checks.ts';
import { exportCommand } from './commands.ts';
import { type Finding, fine, wrong } from './finding.ts';

/** Where Vault is to be found. */
export interface Target {
  readonly secure: boolean;
  /** Without brackets, if it is an IPv6 address. */
  readonly hostname: string;
  readonly port: number;
  /** `http(s)://host:port`. */
  readonly origin: string;
}

const HOST_AND_PORT = /^[\w.-]+(:\d+)?$/;
const EXAMPLE = 'https://vault.example.com:8200';

/** VAULT_ADDR as it is set, or `fallback` where it is not. What will not do is not quoted: it may hold a password. */
export function judgeAddress(
  given: string | undefined,
  fallback: string,
): { readonly finding: Finding; readonly target: Target | undefined } {
  const text = given ?? fallback;
  const refuse = (what: string, mended: string) => ({
    finding: wrong(CHECKS.address, what, [exportCommand('VAULT_ADDR', mended)]),
    target: undefined,
  });
  // Without a scheme the URL parser takes `vault:8200` for the scheme `vault`.
  if (HOST_AND_PORT.test(text))
    return refuse('it has no scheme: http:// or https:// is missing', `http://${text}`);
  const url = URL.parse(text);
  if (url === null) return refuse('it is no URL', EXAMPLE);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return refuse(`it is neither http:// nor https:// but ${url.protocol}//`, EXAMPLE);
  }
  if (url.username !== '' || url.password !== '') {
    return refuse('it holds a user name or a password, which Vault does not take there', url.origin);
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    return refuse('it holds more than scheme, host and port; the rest would be left out', url.origin);
  }
  const secure = url.protocol === 'https:';
  const target = {
    secure,
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (secure ? 443 : 80),
    origin: url.origin,
  };
  return { finding: fine(CHECKS.address, told(target, given === undefined, url.port === '')), target };
}

function told({ origin, port }: Target, isDefault: boolean, portLeftOut: boolean): string {
  const where = isDefault ? `${origin} (the default: VAULT_ADDR is not set)` : origin;
  return portLeftOut ? `${where}, which is port ${port}; Vault's own is 8200` : where;
}
