import { createHash } from 'node:crypto';
import { codeOf } from '../errors.ts';
import { type AuditInput, whoIs } from '../telemetry/audit.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Secret } from '../telemetry/secret.ts';
import { kubernetesAuth } from '../vault/auth/kubernetes.ts';
import type { AuthMethod } from '../vault/auth/login.ts';
import { tokenAuth } from '../vault/auth/token.ts';
import type { VaultClient } from '../vault/client.ts';
import { isTransient, isVaultError } from '../vault/errors.ts';
import { type HeldToken, VaultSession } from '../vault/session.ts';
import { RequestError } from './problem.ts';

/** What a caller shows to say who it is. */
export type CallerProof =
  /** A Kubernetes service account token, and the Vault role to log in to. */
  | { readonly kind: 'kubernetes'; readonly jwt: Secret; readonly role: string }
  | { readonly kind: 'token'; readonly token: Secret };

/** A caller that Vault knows. Every request made through `vault` is decided by Vault for this caller. */
export interface Caller {
  readonly vault: VaultSession;
  /** The service it is, for the agenda and the audit log. */
  readonly name: string;
  /** `role` is there when Vault has checked it by a login. */
  readonly who: AuditInput['who'];
}

export interface CallersOptions {
  readonly client: VaultClient;
  readonly authNamespace: string;
  /** Where Vault's kubernetes method is mounted. */
  readonly kubernetesMount: string;
  readonly metrics: Metrics;
  /** Most callers kept at once; the one longest unused goes first. */
  readonly most?: number;
}

const MOST_CALLERS = 1_000;
/** A token that was given to us is asked after again when this has passed, in milliseconds. */
const TOKEN_KEPT_MS = 30_000;
/** A login younger than this is not replaced for a refusal: a caller who keeps asking for what it may not have is no login storm. */
const LOGIN_KEPT_MS = 60_000;

/**
 * Logs callers in and keeps their logins while they last, by a hash of what they showed, so that a busy caller is not a login storm.
 * A login is never shared between two proofs. One that Vault refuses is forgotten at once.
 */
export class Callers {
  readonly #options: CallersOptions;
  readonly #known = new Map<string, { readonly caller: Promise<Caller>; readonly since: number }>();

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  /** Throws `caller_refused` (401) when Vault does not accept the proof. */
  async identify(proof: CallerProof): Promise<Caller> {
    const key = keyOf(proof);
    const known = this.#known.get(key);
    if (known !== undefined && !this.#isOld(proof, known.since)) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known.caller;
    }
    const fresh = { caller: this.#logIn(proof), since: this.#options.client.now() };
    this.#known.set(key, fresh);
    this.#trim();
    try {
      return await fresh.caller;
    } catch (error) {
      if (this.#known.get(key) === fresh) this.#known.delete(key);
      throw error;
    }
  }

  /** Vault has refused a caller something: its token may have been revoked, or its role may have got new policies since the login. */
  doubt(proof: CallerProof): void {
    const key = keyOf(proof);
    const known = this.#known.get(key);
    if (known === undefined) return;
    const age = this.#options.client.now() - known.since;
    if (proof.kind === 'token' || age > LOGIN_KEPT_MS) this.#known.delete(key);
  }

  async #logIn(proof: CallerProof): Promise<Caller> {
    const { client, authNamespace, metrics } = this.#options;
    const method = this.#methodOf(proof);
    const vault = new VaultSession({ client, method, authNamespace });
    let held: HeldToken;
    try {
      held = await vault.held();
    } catch (error) {
      metrics.increment('vault_auth_failures_total', { method: method.name, reason: codeOf(error) });
      if (isTransient(error) && !isVaultError(error, 'vault_unavailable')) throw error;
      throw new RequestError(
        401,
        'caller_refused',
        'Vault does not accept the caller.',
        'Check that the service account token is mounted and has not expired, and that the Vault role is bound to it.',
      );
    }
    const who = whoIs(held.holder);
    if (proof.kind === 'kubernetes') return { vault, name: proof.role, who: { ...who, role: proof.role } };
    // A token that is shown may carry any role's metadata of long ago: only a login proves one.
    const { role: _role, ...shown } = who;
    const name = held.holder.displayName ?? 'token';
    return { vault, name, who: { ...shown, display_name: name } };
  }

  #methodOf(proof: CallerProof): AuthMethod {
    const { authNamespace, kubernetesMount } = this.#options;
    if (proof.kind === 'token') return tokenAuth(proof.token, authNamespace);
    return kubernetesAuth({
      role: proof.role,
      jwt: () => Promise.resolve(proof.jwt.expose()),
      mount: kubernetesMount,
      authNamespace,
    });
  }

  #isOld(proof: CallerProof, since: number): boolean {
    return proof.kind === 'token' && this.#options.client.now() - since > TOKEN_KEPT_MS;
  }

  #trim(): void {
    const [oldest] = this.#known.keys();
    if (oldest !== undefined && this.#known.size > (this.#options.most ?? MOST_CALLERS))
      this.#known.delete(oldest);
  }
}

function keyOf(proof: CallerProof): string {
  const parts =
    proof.kind === 'token' ? ['token', proof.token.expose()] : ['kubernetes', proof.role, proof.jwt.expose()];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64');
}
