import { decodeJwt } from 'jose';
import * as z from 'zod';
import { CHECKS } from './checks.ts';
import { quoted } from './commands.ts';
import { type Finding, fine, wrong } from './finding.ts';
import type { Failed } from './network-probe.ts';

/** What a service account's token says of itself, read here and verified by nobody. Nothing of it is secret. */
export interface ServiceAccountClaims {
  readonly namespace: string;
  readonly name: string;
  readonly audiences: readonly string[];
  /** Milliseconds since the epoch; undefined: for ever, as the tokens of old clusters were. */
  readonly expiresAt: number | undefined;
  readonly validFrom: number | undefined;
}

const claimsSchema = z.object({
  sub: z.string().regex(/^system:serviceaccount:[^:]+:[^:]+$/),
  aud: z.union([z.string().transform((one) => [one]), z.array(z.string())]).default(() => []),
  exp: z.number().optional(),
  nbf: z.number().optional(),
});

/** `unreadable`: it is no JWT; `stranger`: one, but of no service account. */
export function claimsIn(token: string): ServiceAccountClaims | 'unreadable' | 'stranger' {
  let payload: unknown;
  try {
    payload = decodeJwt(token);
  } catch {
    return 'unreadable';
  }
  const parsed = claimsSchema.safeParse(payload);
  if (!parsed.success) return 'stranger';
  const { sub, aud, exp, nbf } = parsed.data;
  const [, , namespace = '', name = ''] = sub.split(':');
  return {
    namespace,
    name,
    audiences: aud,
    expiresAt: exp === undefined ? undefined : exp * 1_000,
    validFrom: nbf === undefined ? undefined : nbf * 1_000,
  };
}

/** The file as it was read, and what it is to be used for. */
export interface TokenFile {
  readonly file: string;
  readonly content: { readonly text: string } | Failed;
  /** Taken for the service's name, where the token does not say it. */
  readonly role: string;
}

export interface JudgedToken {
  readonly finding: Finding;
  /** Undefined when it is of no use for a login. */
  readonly claims: ServiceAccountClaims | undefined;
}

/** `now` by Vault's clock, in milliseconds since the epoch. */
export function judgeServiceAccountToken({ file, content, role }: TokenFile, now: number): JudgedToken {
  const refuse = (what: string, mend: readonly string[]): JudgedToken => ({
    finding: wrong(CHECKS.serviceAccountToken, what, mend),
    claims: undefined,
  });
  const byHand = `kubectl create token ${quoted(role)} > token && leasekeeper doctor --service-account-token token`;
  if ('code' in content) {
    if (content.code === 'EACCES' || content.code === 'EPERM') {
      return refuse(`${file} is there, and this process may not read it (${content.code})`, [
        `ls -lL ${quoted(file)}`,
        patchDeployment(role, { securityContext: { fsGroup: 65534 } }),
      ]);
    }
    return refuse(
      `${file} cannot be read (${content.code}): the token is not mounted, or this runs outside the cluster. The first command has pods of the service account ${role} get it, from their next start on; the last is for trying from elsewhere`,
      [
        patchDeployment(role, { automountServiceAccountToken: true }),
        `kubectl rollout restart deployment ${quoted(role)}`,
        byHand,
      ],
    );
  }
  const token = content.text.trim();
  if (token === '') return refuse(`${file} is empty`, [byHand]);
  const claims = claimsIn(token);
  if (claims === 'unreadable') return refuse(`${file} holds no JWT`, [byHand]);
  if (claims === 'stranger') {
    return refuse(`${file} holds a JWT, but not that of a service account`, [byHand]);
  }
  return judgeTimes(file, claims, now);
}

function judgeTimes(file: string, claims: ServiceAccountClaims, now: number): JudgedToken {
  const { namespace, name, audiences, expiresAt, validFrom } = claims;
  const who = `of ${namespace}/${name}`;
  if (expiresAt !== undefined && expiresAt <= now) {
    const finding = wrong(
      CHECKS.serviceAccountToken,
      `${file}, ${who}, has expired ${span(now - expiresAt)} ago. Kubernetes replaces a mounted token long before: this is a copy, or the pod is cut off from its node`,
      [
        `kubectl -n ${quoted(namespace)} create token ${quoted(name)}${audienceFlag(audiences)} > token && leasekeeper doctor --service-account-token token`,
        `kubectl -n ${quoted(namespace)} rollout restart deployment ${quoted(name)}`,
      ],
    );
    return { finding, claims: undefined };
  }
  if (validFrom !== undefined && validFrom > now) {
    const what = `${file}, ${who}, is valid in ${span(validFrom - now)} only: a clock is wrong`;
    return { finding: wrong(CHECKS.serviceAccountToken, what, ['date -u']), claims: undefined };
  }
  const life = expiresAt === undefined ? 'without an end' : `good for ${span(expiresAt - now)}`;
  const finding = fine(
    CHECKS.serviceAccountToken,
    `${who}, for ${audiences.join(', ') || 'no audience'}, ${life}`,
  );
  return { finding, claims };
}

function audienceFlag(audiences: readonly string[]): string {
  return audiences[0] === undefined ? '' : ` --audience ${quoted(audiences[0])}`;
}

function patchDeployment(name: string, podSpec: Readonly<Record<string, unknown>>): string {
  return `kubectl patch deployment ${quoted(name)} -p ${quoted(JSON.stringify({ spec: { template: { spec: podSpec } } }))}`;
}

/** A time span for people: 90 s, 12 min, 5 h, 3 d. */
export function span(milliseconds: number): string {
  const seconds = Math.round(Math.abs(milliseconds) / 1_000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
