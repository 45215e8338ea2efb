import { X509Certificate } from 'node:crypto';
import type { Target } from './address.ts';
import { CHECKS } from './checks.ts';
import { exportCommand, quoted } from './commands.ts';
import { type Finding, fine, wrong } from './finding.ts';
import type { Failed, ShownCertificate } from './network-probe.ts';

/** The file that VAULT_CACERT names, as it was read. */
export type CaFile = { readonly file: string; readonly text: string } | ({ readonly file: string } & Failed);

const PEM = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const UNSET = 'unset VAULT_CACERT';
const EXAMPLE = exportCommand('VAULT_CACERT', '/vault/tls/ca.crt');

/** `ca` undefined: VAULT_CACERT is not set. `now` in milliseconds since the epoch. */
export function judgeCaFile(ca: CaFile | undefined, secure: boolean, now: number): Finding {
  if (ca === undefined) {
    const public_ = "VAULT_CACERT is not set: the public authorities are trusted, and Node's own extra ones";
    return fine(CHECKS.ca, secure ? public_ : 'not needed: VAULT_ADDR is http');
  }
  if ('code' in ca) return unreadable(ca);
  const certificates = certificatesIn(ca.text);
  if (certificates === undefined || certificates.length === 0) {
    return wrong(CHECKS.ca, `${ca.file} holds no certificate in PEM form that can be read`, [
      `openssl x509 -in ${quoted(ca.file)} -noout -subject -enddate`,
      EXAMPLE,
    ]);
  }
  const names = certificates.map(({ subject }) => subject.split('\n').at(-1) ?? '').join(', ');
  const expired = certificates.filter(({ validTo }) => Date.parse(validTo) <= now);
  if (expired.length === certificates.length) {
    return wrong(CHECKS.ca, `${ca.file} (${names}) has expired, the last on ${dateIn(certificates)}`, [
      EXAMPLE,
    ]);
  }
  return fine(CHECKS.ca, `${ca.file} holds ${names}${secure ? '' : '; not needed: VAULT_ADDR is http'}`);
}

function unreadable({ file, code }: { file: string } & Failed): Finding {
  if (code === 'EACCES' || code === 'EPERM') {
    return wrong(CHECKS.ca, `${file}, which VAULT_CACERT names, may not be read (${code})`, [
      `chmod a+r ${quoted(file)}`,
    ]);
  }
  return wrong(
    CHECKS.ca,
    `${file}, which VAULT_CACERT names, cannot be read (${code}): SecretsManager would not start. Name the file that is mounted, or trust the public authorities`,
    [EXAMPLE, UNSET],
  );
}

/** Undefined when one of them is no certificate. */
function certificatesIn(pem: string): readonly X509Certificate[] | undefined {
  try {
    return (pem.match(PEM) ?? []).map((text) => new X509Certificate(text));
  } catch {
    return undefined;
  }
}

function dateIn(certificates: readonly X509Certificate[]): string {
  return day(Math.max(...certificates.map(({ validTo }) => Date.parse(validTo))));
}

/** What came of the handshake, and of plain HTTP where the handshake did not come about. */
export interface TlsFacts {
  readonly target: Target;
  readonly caFile: string | undefined;
  readonly shown: ShownCertificate | Failed;
  /** Asked only where it matters. */
  readonly plain?: 'http' | 'tls' | 'none' | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** The certificate of a server at an https address. */
export function judgeTls(facts: TlsFacts): Finding {
  const { shown, target } = facts;
  if ('code' in shown) return judgeNoHandshake(facts, shown);
  if (shown.fault === undefined) {
    const days = Math.floor((shown.validTo - facts.now) / 86_400_000);
    return fine(CHECKS.tls, `${shown.subject}, from ${shown.issuer}, trusted; it ends in ${days} days`);
  }
  switch (shown.fault) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return judgeName(target, shown);
    case 'CERT_HAS_EXPIRED':
      return wrong(
        CHECKS.tls,
        shown.validTo <= facts.now
          ? `Vault's certificate (${shown.subject}) expired on ${day(shown.validTo)}: renew it, then have Vault read it`
          : `an authority above Vault's certificate has expired, or this machine's clock (${day(facts.now)}) is wrong`,
        [certificateDates(target), 'kill -HUP "$(pidof vault || pidof bao)"'],
      );
    case 'CERT_NOT_YET_VALID':
      return wrong(
        CHECKS.tls,
        `Vault's certificate (${shown.subject}) is valid from ${day(shown.validFrom)} on only; by this machine's clock it is ${day(facts.now)}`,
        ['date -u', certificateDates(target)],
      );
    default:
      return judgeAuthority(facts, shown, shown.fault);
  }
}

function judgeName({ hostname, port }: Target, { names }: ShownCertificate): Finding {
  const usable = names.filter((name) => !name.includes('*'));
  const better = usable[0];
  const what = `Vault's certificate is for ${names.join(', ') || 'no name at all'}, not for ${hostname}`;
  if (better === undefined) {
    return wrong(CHECKS.tls, `${what}: it must be issued anew with the name ${hostname}`, [
      'vault write pki/issue/<role> common_name='.concat(hostname),
    ]);
  }
  const host = better.includes(':') ? `[${better}]` : better;
  return wrong(CHECKS.tls, what, [exportCommand('VAULT_ADDR', `https://${host}:${port}`)]);
}

function judgeAuthority({ target, caFile }: TlsFacts, { issuer }: ShownCertificate, fault: string): Finding {
  const show = `openssl s_client -showcerts -connect ${target.hostname}:${target.port} </dev/null`;
  const where =
    caFile === undefined
      ? `which is no public authority, and VAULT_CACERT is not set`
      : `which is not in ${caFile} (VAULT_CACERT)`;
  return wrong(
    CHECKS.tls,
    `Vault's certificate was issued by ${issuer}, ${where} (${fault}). Get the certificate of ${issuer} from whoever runs Vault, and name its file`,
    [show, EXAMPLE],
  );
}

function judgeNoHandshake({ target, plain }: TlsFacts, { code }: Failed): Finding {
  const { hostname, port } = target;
  if (plain === 'http') {
    return wrong(CHECKS.tls, `${hostname}, port ${port}, speaks plain HTTP, and VAULT_ADDR says https`, [
      exportCommand('VAULT_ADDR', `http://${target.origin.slice('https://'.length)}`),
    ]);
  }
  return wrong(CHECKS.tls, `no TLS handshake with ${hostname}, port ${port} (${code})`, [
    `openssl s_client -connect ${hostname}:${port} </dev/null`,
  ]);
}

/** An http address. `shown` is asked for only where plain HTTP was not answered as such. */
export function judgePlain(
  target: Target,
  plain: 'http' | 'tls' | 'none',
  shown: ShownCertificate | Failed | undefined,
): Finding {
  if (plain === 'http') return fine(CHECKS.tls, 'VAULT_ADDR is http: nothing is encrypted on the way');
  const { hostname, port, origin } = target;
  if (plain === 'tls' || (shown !== undefined && !('code' in shown))) {
    return wrong(CHECKS.tls, `${hostname}, port ${port}, speaks TLS, and VAULT_ADDR says http`, [
      exportCommand('VAULT_ADDR', `https://${origin.slice('http://'.length)}`),
    ]);
  }
  return wrong(CHECKS.tls, `what listens at ${hostname}, port ${port}, speaks neither HTTP nor TLS`, [
    `curl -sS ${quoted(`${origin}/v1/sys/health`)}`,
  ]);
}

function certificateDates({ hostname, port }: Target): string {
  return `openssl s_client -connect ${hostname}:${port} </dev/null | openssl x509 -noout -subject -dates`;
}

function day(time: number): string {
  return Number.isNaN(time) ? 'an unknown day' : new Date(time).toISOString().slice(0, 10);
}
