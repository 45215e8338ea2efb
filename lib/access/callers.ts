import { codeOf } from '../errors.ts';
import { type AuditInput, whoIs } from '../telemetry/audit.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { jwtAuth } from '../vault/auth/jwt.ts';
import type { AuthMethod } from '../vault/auth/login.ts';
import { tokenAuth } from '../vault/auth/token.ts';
import type { VaultClient } from '../vault/client.ts';
import { isTransient, isVaultError } from '../vault/errors.ts';
import { type HeldToken, VaultSession } from '../vault/session.ts';
import { CallerRate, type RateLimit } from './caller-rate.ts';
import { RequestError } from './problem.ts';
import { type CallerProof, endOf, keyOf } from './proof.ts';

/** A caller that Vault knows. Every request made through `vault` is decided by Vault for this caller. */
export interface Caller {
  readonly vault: VaultSession;
  /** The service it is, for the agenda and the audit log. */
  readonly name: string;
  /** `role` is there when Vault has checked it by a login. */
  readonly who: AuditInput['who'];
  /** Where it has logged in. Undefined for a token that was shown: many may have one of the same name. */
  readonly mount?: string;
}

export interface CallersOptions {
  readonly client: VaultClient;
  readonly authNamespace: string;
  /** Where callers may log in with a JWT: mounts of Vault's kubernetes and jwt methods. The first is where they do if they name none. */
  readonly mounts: readonly string[];
  /** How often one caller may ask; not bounded when left out. */
  readonly rate?: RateLimit;
  readonly metrics: Metrics;
  /** Most callers kept at once; the one longest unused goes first. */
  readonly most?: number;
}

const MOST_CALLERS = 1_000;
/** A token that was given to us is asked after again when this has passed, in milliseconds. */
const TOKEN_KEPT_MS = 30_000;
/**
 * A JWT is shown to Vault again when this has passed, in milliseconds: that its service account or its role is gone, Vault notices at a
 * login only.
 */
const LOGIN_PROVEN_MS = 300_000;
/** A login younger than this is not replaced for a refusal: a caller who keeps asking for what it may not have is no login storm. */
const LOGIN_KEPT_MS = 60_000;

type LoginProof = Extract<CallerProof, { kind: 'jwt' }> & { readonly mount: string };
type ResolvedProof = LoginProof | Extract<CallerProof, { kind: 'token' }>;

interface Known {
  readonly caller: Promise<Caller>;
  readonly since: number;
  /** From then on the proof is shown to Vault again. */
  readonly until: number;
}

/**
 * Logs callers in and keeps their logins while they last, by a hash of what they showed, so that a busy caller is not a login storm.
 * A login is never shared between two proofs, outlives no JWT that proved it, and is proven anew every five minutes. One that Vault
 * refuses is forgotten at once.
 */
export class Callers {
  readonly #options: CallersOptions;
  readonly #rate: CallerRate | undefined;
  readonly #known = new Map<string, Known>();

  constructor(options: CallersOptions) {
    this.#options = options;
    this.#rate = options.rate === undefined ? undefined : new CallerRate(options.rate);
  }

  /**
   * `requests`: how many at once this is. Throws `caller_rate_exceeded` (429) and `auth_mount_not_allowed` (403), both before Vault is
   * asked, and `caller_refused` (401) when Vault does not accept the proof.
   */
  async identify(shown: CallerProof, requests = 1): Promise<Caller> {
    const proof = this.#resolved(shown);
    const key = keyOf(proof);
    const now = this.#options.client.now();
    // Of whoever is refused, too: the bucket is that of the proof, whatever Vault thinks of it.
    const waitMs = this.#rate?.take(key, requests, now) ?? 0;
    if (waitMs > 0) throw tooFast(waitMs);
    const known = this.#known.get(key);
    this.#known.delete(key);
    if (known !== undefined && now < known.until) {
      this.#known.set(key, known);
      return known.caller;
    }
    return this.#identifyAnew(proof, key, now);
  }

  /** Vault has refused a caller something: its token may have been revoked, or its role may have got new policies since the login. */
  doubt(shown: CallerProof): void {
    const proof = this.#resolved(shown);
    const key = keyOf(proof);
    const known = this.#known.get(key);
    if (known === undefined) return;
    const age = this.#options.client.now() - known.since;
    if (proof.kind === 'token' || age > LOGIN_KEPT_MS) this.#known.delete(key);
  }

  async #identifyAnew(proof: ResolvedProof, key: string, now: number): Promise<Caller> {
    const end = proof.kind === 'jwt' ? (endOf(proof.jwt) ?? Number.POSITIVE_INFINITY) : undefined;
    // Vault's jwt method accepts one for up to 150 s more (`expiration_leeway`); here its word counts.
    if (end !== undefined && end <= now) throw refused();
    const until = end === undefined ? now + TOKEN_KEPT_MS : Math.min(now + LOGIN_PROVEN_MS, end);
    const fresh = { caller: this.#logIn(proof), since: now, until };
    this.#known.set(key, fresh);
    this.#trim();
    try {
      return await fresh.caller;
    } catch (error) {
      if (this.#known.get(key) === fresh) this.#known.delete(key);
      throw error;
    }
  }

  async #logIn(proof: ResolvedProof): Promise<Caller> {
    const { client, authNamespace, metrics } = this.#options;
    const method = this.#methodOf(proof);
    const vault = new VaultSession({ client, method, authNamespace });
    let held: HeldToken;
    try {
      held = await vault.held();
    } catch (error) {
      metrics.increment('vault_auth_failures_total', { method: method.name, reason: codeOf(error) });
      if (isTransient(error) && !isVaultError(error, 'vault_unavailable')) throw error;
      throw refused();
    }
    const who = whoIs(held.holder);
    if (proof.kind === 'jwt') {
      const { role, mount } = proof;
      return { vault, name: role, who: { ...who, role }, mount };
    }
    // A token that is shown may carry any role's metadata of long ago: only a login proves one.
    const { role: _role, ...shown } = who;
    const name = held.holder.displayName ?? 'token';
    return { vault, name, who: { ...shown, display_name: name } };
  }

  #methodOf(proof: ResolvedProof): AuthMethod {
    const { authNamespace } = this.#options;
    if (proof.kind === 'token') return tokenAuth(proof.token, authNamespace);
    const { mount, role } = proof;
    const jwt = async () => proof.jwt.expose();
    return { ...jwtAuth({ role, jwt, mount, authNamespace }), name: mount };
  }

  #resolved(proof: CallerProof): ResolvedProof {
    if (proof.kind === 'token') return proof;
    const { mounts } = this.#options;
    const mount = mounts.find((one) => one === (proof.mount ?? one));
    if (mount !== undefined) return { ...proof, mount };
    throw new RequestError(
      403,
      'auth_mount_not_allowed',
      'Callers may not log in at the auth mount that the request names.',
      'Leave `X-Vault-Auth-Mount` out, or name one of LEASEKEEPER_CALLER_MOUNTS.',
    );
  }

  #trim(): void {
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size > (this.#options.most ?? MOST_CALLERS))
      this.#known.delete(oldest);
  }
}

function refused(): RequestError {
  return new RequestError(
    401,
    'caller_refused',
    'Vault does not accept the caller.',
    'Check that the service account token is mounted and has not expired, and that the Vault role is bound to it.',
  );
}

function tooFast(waitMs: number): RequestError {
  return new RequestError(
    429,
    'caller_rate_exceeded',
    'This caller asks too often.',
    'Wait for as long as Retry-After says. Keep a secret while it lasts, and ask for several leases with POST /v1/leases/batch.',
    { retryAfterSeconds: Math.ceil(waitMs / 1_000) },
  );
}
