import { waitAtMost } from './waiting.ts';

/** Which secret it is, without its value: a lease has an id, what stands in KV a version and perhaps a generation. */
export interface SecretIdentity {
  readonly leaseId?: string;
  readonly version?: number;
  readonly generation?: number;
}

/** What a SecretsManager tells. Times in milliseconds since the epoch. No event holds a value. */
export interface SecretsManagerEvents {
  /**
   * There is a new credential at this path: `getDynamicSecret` gives it. The old lease is revoked only when every handler has
   * finished (within a bound) and the overlap has passed.
   */
  readonly rotated: {
    readonly path: string;
    readonly previous: SecretIdentity;
    readonly current: SecretIdentity;
  };
  readonly renewed: { readonly path: string; readonly leaseId: string; readonly expiresAt: number };
  /** The lease's end is fixed and near. A shared one is about to be replaced; one asked for with `fresh` is not. */
  readonly expiring: { readonly path: string; readonly leaseId: string; readonly expiresAt: number };
  /** The credential stopped working without a successor: revoked behind our back, or expired while Vault was away. */
  readonly lost: { readonly path: string; readonly leaseId: string };
  /** Something in the background failed; it is tried again where that makes sense. For the log. */
  readonly fault: {
    readonly operation:
      | 'login'
      | 'issue'
      | 'renew'
      | 'revoke'
      | 'refresh'
      | 'handler'
      | 'acknowledge'
      | 'cleanup';
    readonly path?: string;
    readonly error: unknown;
  };
}

export type SecretsManagerEventName = keyof SecretsManagerEvents;

export type SecretsManagerHandler<Name extends SecretsManagerEventName> = (
  event: SecretsManagerEvents[Name],
) => unknown;

type HandlerSets = { readonly [Name in SecretsManagerEventName]: Set<SecretsManagerHandler<Name>> };

/**
 * Tells events to handlers that may be asynchronous. There is no event named `error`: Node ends a process that has no handler for
 * one, and no secrets manager should be able to do that.
 */
export class SecretsManagerEmitter {
  readonly #handlerTimeoutMs: number;
  readonly #running = new Set<Promise<boolean>>();
  readonly #handlers: HandlerSets = {
    rotated: new Set(),
    renewed: new Set(),
    expiring: new Set(),
    lost: new Set(),
    fault: new Set(),
  };

  /** `handlerTimeoutMs` bounds how long `emit` waits for handlers. */
  constructor(handlerTimeoutMs: number) {
    this.#handlerTimeoutMs = handlerTimeoutMs;
  }

  /** Adds a handler; the function it returns takes it away again. */
  on<Name extends SecretsManagerEventName>(name: Name, handler: SecretsManagerHandler<Name>): () => void {
    const handlers: Set<SecretsManagerHandler<Name>> = this.#handlers[name];
    handlers.add(handler);
    return () => {
      handlers.delete(handler);
    };
  }

  /** Calls every handler at once. Resolves when all have finished, or the bound has passed; never rejects. */
  async emit<Name extends SecretsManagerEventName>(
    name: Name,
    event: SecretsManagerEvents[Name],
  ): Promise<void> {
    await waitAtMost(this.tell(name, event), this.#handlerTimeoutMs);
  }

  /**
   * Calls every handler at once. Resolves when all have finished, however long that takes: true when none of them has failed. Never
   * rejects.
   */
  async tell<Name extends SecretsManagerEventName>(
    name: Name,
    event: SecretsManagerEvents[Name],
  ): Promise<boolean> {
    const handlers: ReadonlySet<SecretsManagerHandler<Name>> = this.#handlers[name];
    const calls = await Promise.all(
      [...handlers].map((handler) => this.#track(this.#call(name, handler, event))),
    );
    return calls.every((finished) => finished);
  }

  /** Waits for the handlers that run now. Never rejects. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
  }

  #track(call: Promise<boolean>): Promise<boolean> {
    this.#running.add(call);
    return call.finally(() => this.#running.delete(call));
  }

  async #call<Name extends SecretsManagerEventName>(
    name: Name,
    handler: SecretsManagerHandler<Name>,
    event: SecretsManagerEvents[Name],
  ): Promise<boolean> {
    try {
      await handler(event);
      return true;
    } catch (error) {
      // A handler of faults that fails has nobody left to tell.
      if (name !== 'fault') void this.emit('fault', { operation: 'handler', error });
      return false;
    }
  }
}
