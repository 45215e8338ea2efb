import { actingWith } from '../vault/acting-with.ts';
import type { Vault, VaultClient } from '../vault/client.ts';
import { type HeldToken, nextActionAt, type VaultSession } from '../vault/session.ts';
import type { TokenHolder } from '../vault/token-holder.ts';
import { lookupSelf, revokeSelf } from '../vault/tokens.ts';
import type { ParentView } from './lease-decision.ts';

/** A token that made leases. Its times are by this process's clock. */
export interface ParentToken extends ParentView {
  /** Acting with this very token, whatever token the session uses by now. */
  readonly vault: Vault;
  /** Whether leases in the token's namespace can be ended by ending it; a token that was given to us is left alone. */
  readonly isOurs: boolean;
}

interface Known {
  held: HeldToken;
  expiresAt: number;
  superseded: boolean;
}

export interface ParentTokensDependencies {
  readonly client: VaultClient;
  readonly session: VaultSession;
  readonly authNamespace: string;
  /** Whether tokens are made by our logins; those that somebody else gives us are left alone. */
  readonly ownTokens: boolean;
  readonly now: () => number;
  /** Another token is in use from now on: leases of the one before must be replaced before it ends. */
  readonly onSuperseded: () => void;
  readonly onFault: (error: unknown) => void;
}

const SOONEST_RETRY_MS = 250;
const LATEST_RETRY_MS = 300_000;
/** Once the token is gone there is nothing left to be in time for. */
const SOONEST_RETRY_WITHOUT_TOKEN_MS = 1_000;
const LATEST_RETRY_WITHOUT_TOKEN_MS = 60_000;

/**
 * Knows which token made which lease. A lease dies with the token that made it, and the session's tokens come and go: renewed while
 * they can be, then replaced by a login.
 */
export class ParentTokens {
  readonly #deps: ParentTokensDependencies;
  #current: (ParentToken & Known) | undefined;
  #retryAt = Number.NEGATIVE_INFINITY;
  #triesWithoutToken = 0;

  constructor(deps: ParentTokensDependencies) {
    this.#deps = deps;
  }

  /** Who holds the token in use, as far as the login said so. */
  get holder(): TokenHolder {
    return this.#current?.held.holder ?? {};
  }

  /** The session's token, made or renewed first if it must be. Throws what the login throws. */
  async current(): Promise<ParentToken> {
    return this.note(await this.#deps.session.held());
  }

  /** The session says that it uses this token. */
  note(held: HeldToken): ParentToken {
    const { session, now } = this.#deps;
    // The session's clock is Vault's: what is left of the token's life is the same by either.
    const expiresAt = now() + (held.expiresAt - session.now());
    const current = this.#current;
    if (current !== undefined && isSame(current.held, held)) {
      // A renewal gives the same token other times.
      current.held = held;
      current.expiresAt = expiresAt;
      return current;
    }
    const { client, ownTokens, onSuperseded } = this.#deps;
    const vault = actingWith(client, held.token);
    this.#current = { held, vault, isOurs: ownTokens, expiresAt, superseded: false };
    if (current !== undefined) {
      current.superseded = true;
      onSuperseded();
    }
    return this.#current;
  }

  /** After a refusal: the token to try again with, or undefined when the one that was refused is still good. */
  async afterDenial(refused: ParentToken): Promise<ParentToken | undefined> {
    // Asked through the session, which logs in again when its token turns out to be gone.
    await lookupSelf(this.#deps.session, this.#deps.authNamespace).catch(() => undefined);
    const current = await this.current();
    return current === refused ? undefined : current;
  }

  /**
   * When to call `attend`: when the session will want to renew or replace its token. A session acts only when it is asked, and an idle
   * process would let the parent of its leases die.
   */
  nextLook(): number {
    const current = this.#current;
    if (current === undefined) return Number.POSITIVE_INFINITY;
    const { session, now } = this.#deps;
    return Math.max(now() + (nextActionAt(current.held) - session.now()), this.#retryAt);
  }

  /** Has the session see to its token, if it is time. Failures are told and tried again; never throws. */
  async attend(): Promise<void> {
    const { now, onFault } = this.#deps;
    if (now() < this.nextLook()) return;
    try {
      await this.current();
    } catch (error) {
      onFault(error);
    }
    // Nothing changed: a renewal failed (the session keeps that to itself) or the login did.
    if (this.nextLook() <= now()) this.#retryLater();
    else this.#triesWithoutToken = 0;
  }

  #retryLater(): void {
    const now = this.#deps.now();
    const left = (this.#current?.expiresAt ?? now) - now;
    if (left > 0) {
      this.#retryAt = now + Math.min(Math.max(left / 4, SOONEST_RETRY_MS), LATEST_RETRY_MS);
      return;
    }
    const backoff = SOONEST_RETRY_WITHOUT_TOKEN_MS * 2 ** this.#triesWithoutToken;
    this.#retryAt = now + Math.min(backoff, LATEST_RETRY_WITHOUT_TOKEN_MS);
    this.#triesWithoutToken += 1;
  }

  /** Ends a token and every lease made with it in its namespace. Throws VaultError. */
  async revoke(parent: ParentToken): Promise<void> {
    if (parent.isOurs) await revokeSelf(parent.vault, this.#deps.authNamespace);
  }
}

/** Batch tokens have no accessor; they are never renewed, so the token itself tells. */
function isSame(one: HeldToken, other: HeldToken): boolean {
  return one.token.expose() === other.token.expose();
}
