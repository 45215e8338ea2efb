import { Secret } from '../telemetry/secret.ts';
import { actingWith } from './acting-with.ts';
import type { AuthMethod } from './auth/login.ts';
import type { Vault, VaultAnswer, VaultClient, VaultRequest } from './client.ts';
import { isVaultError } from './errors.ts';
import type { TokenHolder } from './token-holder.ts';
import { type IssuedToken, lookupSelf, renewSelf, revokeSelf } from './tokens.ts';

/** A token in use. Times in milliseconds since the epoch, by Vault's clock. */
export interface HeldToken {
  readonly token: Secret;
  readonly accessor: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** Seconds granted at login: what every renewal asks for. */
  readonly ttlSeconds: number;
  readonly renewable: boolean;
  readonly holder: TokenHolder;
}

export interface VaultSessionOptions {
  readonly client: VaultClient;
  readonly method: AuthMethod;
  /** Where the token lives. */
  readonly authNamespace?: string;
  readonly onLogin?: (token: HeldToken) => void;
  readonly onAuthFailure?: (error: unknown, method: string) => void;
}

/**
 * A token is renewed once this share of its life has passed, and replaced by a login once `REPLACE_AT` has. What is left then is for
 * replacing the leases that die with it.
 */
const RENEW_AT = 2 / 3;
const REPLACE_AT = 0.8;

/** A refusal may mean a revoked token: it is looked into at most once in this time, so that a plain denial costs nothing more. */
const DOUBT_AGAIN_AFTER_MS = 30_000;

/** A login that failed while the old token works is not tried again before every request: after a quarter of what is left, or this. */
const LOGIN_AGAIN_AFTER_MS = 5_000;

/** Nor is a renewal that failed: Vault may refuse it for good, such as with another certificate than the token was issued for. */
const RENEW_AGAIN_AFTER_MS = 5_000;

/** Whether somebody has replaced a token that was given to us is looked at no more often than this; when Vault refuses it, at once. */
const LOOK_AGAIN_AFTER_MS = 10_000;

/** When a session next renews or replaces its token, if it is asked then. For those who must have it asked in time. */
export function nextActionAt(held: HeldToken): number {
  const life = held.expiresAt - held.issuedAt;
  return held.issuedAt + life * (held.renewable ? RENEW_AT : REPLACE_AT);
}

/**
 * Vault, acting as one identity: logs in when it must, renews while it can, logs in again when the token was revoked. It uses no
 * timers, only absolute times at each request, so that it is right after a freeze.
 */
export class VaultSession implements Vault {
  readonly #options: VaultSessionOptions;
  #held: HeldToken | undefined;
  #pending: Promise<HeldToken> | undefined;
  /** When Vault last said that the token is good. */
  #provenAt = Number.NEGATIVE_INFINITY;
  #loginAgainAt = Number.NEGATIVE_INFINITY;
  #renewAgainAt = Number.NEGATIVE_INFINITY;
  /** When it was last looked whether a token that was given to us has been replaced. */
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: VaultSessionOptions) {
    this.#options = options;
  }

  now(): number {
    return this.#options.client.now();
  }

  async request(request: VaultRequest): Promise<VaultAnswer> {
    const held = await this.held();
    try {
      return await this.#options.client.requestWith(held.token.expose(), request);
    } catch (error) {
      if (!isVaultError(error, 'vault_denied')) throw error;
      const fresh = await this.#insteadOf(held);
      if (fresh === undefined) throw error;
      return this.#options.client.requestWith(fresh.token.expose(), request);
    }
  }

  /** The token in use, made or renewed first if it must be. Throws what the auth method throws. */
  async held(): Promise<HeldToken> {
    const found = this.#held;
    if (found === undefined) return this.#single(() => this.#login());
    const isReplaced = this.#mayLook() && (await this.#isReplaced(found));
    // Looking took time: another request may have seen to the token meanwhile.
    const held = this.#held ?? found;
    if (isReplaced && held === found) return this.#single(() => this.#replace(held));
    const life = (this.now() - held.issuedAt) / (held.expiresAt - held.issuedAt);
    if (life >= REPLACE_AT) return this.#single(() => this.#replace(held));
    if (life >= RENEW_AT && held.renewable && this.now() >= this.#renewAgainAt) {
      return this.#single(() => this.#renew(held));
    }
    return held;
  }

  /** Ends the token, and with it every lease made with it. A token that was given to us is left as it is. Throws VaultError. */
  async close(): Promise<void> {
    // A login that is under way would leave its token behind.
    await this.#pending?.catch(() => undefined);
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined || this.#options.method.given !== undefined) return;
    const { client, authNamespace = '' } = this.#options;
    await revokeSelf(actingWith(client, held.token), authNamespace);
  }

  /**
   * The token to try again with after a refusal; undefined when the refusal stands. A new token would cost the leases made with the old
   * one their parent: it is made only for one that is really gone, and once for all requests that were sent with it.
   */
  async #insteadOf(refused: HeldToken): Promise<HeldToken | undefined> {
    const isAnother = (held: HeldToken) => held.token.expose() !== refused.token.expose();
    if (this.#held !== undefined && isAnother(this.#held)) return this.#held;
    const given = this.#options.method.given !== undefined;
    if (!(given ? await this.#isReplaced(refused) : this.#mayBeRevoked(refused))) return undefined;
    const held = await this.#single(async () => {
      // Another request may have seen to it meanwhile.
      if (this.#held !== undefined && isAnother(this.#held)) return this.#held;
      // Of a token that was replaced it does not matter whether it still works.
      return !given && (await this.#isGood(refused)) ? refused : this.#login();
    });
    return isAnother(held) ? held : undefined;
  }

  #mayBeRevoked(held: HeldToken): boolean {
    const knownGood = Math.max(held.issuedAt, this.#provenAt);
    return this.now() - knownGood > DOUBT_AGAIN_AFTER_MS;
  }

  #mayLook(): boolean {
    return this.#options.method.given !== undefined && this.now() - this.#lookedAt > LOOK_AGAIN_AFTER_MS;
  }

  /** Whether whoever gave us this token has another by now. */
  async #isReplaced(held: HeldToken): Promise<boolean> {
    this.#lookedAt = this.now();
    return (await this.#options.method.given?.isReplaced(held.token)) ?? false;
  }

  /** Whether Vault still knows the token. One without the default policy may not ask, and counts as gone. */
  async #isGood(held: HeldToken): Promise<boolean> {
    const { client, authNamespace = '' } = this.#options;
    try {
      await lookupSelf(actingWith(client, held.token), authNamespace);
      this.#provenAt = this.now();
      return true;
    } catch (error) {
      return !isVaultError(error, 'vault_denied');
    }
  }

  /** Many requests at once need one login, not one each. */
  #single(make: () => Promise<HeldToken>): Promise<HeldToken> {
    this.#pending ??= make().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #login(): Promise<HeldToken> {
    const { client, method, onLogin, onAuthFailure } = this.#options;
    const asked = this.now();
    this.#lookedAt = asked;
    let issued: IssuedToken;
    try {
      issued = await method.login(client);
    } catch (error) {
      onAuthFailure?.(error, method.name);
      throw error;
    }
    const held = this.#hold(issued, asked);
    onLogin?.(held);
    return held;
  }

  /** A new token in good time: while logging in fails, the old one serves to its end. */
  async #replace(held: HeldToken): Promise<HeldToken> {
    const works = () => this.now() < held.expiresAt;
    if (works() && this.now() < this.#loginAgainAt) return held;
    try {
      return await this.#login();
    } catch (error) {
      if (!works()) throw error;
      const now = this.now();
      this.#loginAgainAt = now + Math.min((held.expiresAt - now) / 4, LOGIN_AGAIN_AFTER_MS);
      return held;
    }
  }

  async #renew(held: HeldToken): Promise<HeldToken> {
    const { client, authNamespace = '' } = this.#options;
    const asked = this.now();
    try {
      const renewed = await renewSelf(actingWith(client, held.token), authNamespace, held.ttlSeconds);
      // Noticeably less than asked for: the max TTL is near, so the next step is a login.
      const renewable = renewed.renewable && renewed.ttlSeconds >= held.ttlSeconds * 0.9;
      const { accessor, holder } = held;
      return this.#hold(
        {
          token: held.token.expose(),
          accessor,
          ttlSeconds: renewed.ttlSeconds,
          renewable,
          holder,
        },
        asked,
      );
    } catch (error) {
      if (isVaultError(error, 'vault_denied')) return this.#login();
      this.#renewAgainAt = this.now() + Math.min((held.expiresAt - held.issuedAt) / 20, RENEW_AGAIN_AFTER_MS);
      // There is a third of its life left: the fault is met again, and shown, by the request itself.
      return held;
    }
  }

  /** Its life is counted from when it was asked for: a process that froze before the answer must not think it younger. */
  #hold(issued: IssuedToken, asked: number): HeldToken {
    const held: HeldToken = {
      token: new Secret(issued.token),
      accessor: issued.accessor,
      issuedAt: asked,
      expiresAt: asked + issued.ttlSeconds * 1_000,
      ttlSeconds: issued.ttlSeconds,
      renewable: issued.renewable,
      holder: issued.holder,
    };
    this.#held = held;
    return held;
  }
}
