import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { isVaultError } from '../vault/errors.ts';
import type { KvStore } from '../vault/kv-store.ts';
import { type Delivery, deliverySchema } from './delivery.ts';
import { type Subscription, subscriptionSchema } from './subscription.ts';

/** A document at the version it was read. */
export interface Versioned<T> {
  readonly document: T;
  readonly version: number;
}

const UNREADABLE = 'notice_document_unreadable';

/** The documents `subscriptions/<id>` and `deliveries/<id>`. */
export class NoticeStore {
  readonly #store: KvStore;

  constructor(store: KvStore) {
    this.#store = store;
  }

  /** All that can be read: one document that cannot must not keep every other subscriber from being told. */
  async subscriptions(onUnreadable: (error: unknown, id: string) => void): Promise<readonly Subscription[]> {
    const ids = (await this.#store.list('subscriptions')).filter((id) => !id.endsWith('/'));
    const read = await Promise.all(
      ids.map((id) =>
        this.subscription(id).catch((error: unknown) => {
          if (!(error instanceof LeasekeeperError) || error.code !== UNREADABLE) throw error;
          onUnreadable(error, id);
          return undefined;
        }),
      ),
    );
    return read.flatMap((found) => (found === undefined ? [] : [found.document]));
  }

  subscription(id: string): Promise<Versioned<Subscription> | undefined> {
    return this.#read(`subscriptions/${id}`, subscriptionSchema);
  }

  /** Undefined: somebody else wrote first. */
  saveSubscription(subscription: Subscription, version: number): Promise<number | undefined> {
    return this.#write(`subscriptions/${subscription.id}`, subscription, version);
  }

  delivery(id: string): Promise<Versioned<Delivery> | undefined> {
    return this.#read(`deliveries/${id}`, deliverySchema);
  }

  /** Undefined: somebody else wrote first; for a new one (version 0): it is there already. */
  saveDelivery(id: string, delivery: Delivery, version: number): Promise<number | undefined> {
    return this.#write(`deliveries/${id}`, delivery, version);
  }

  /** The id is a hash of event and subscription and is not used again: by then the event is older than any duplicate. */
  deleteDelivery(id: string): Promise<void> {
    return this.#store.deleteMetadata(`deliveries/${id}`);
  }

  async #read<T>(path: string, schema: z.ZodType<T>): Promise<Versioned<T> | undefined> {
    const { entry, version } = await this.#store.read(path);
    if (entry === undefined) return undefined;
    const parsed = schema.safeParse(entry.data);
    if (parsed.success) return { document: parsed.data, version };
    // zod's own error names fields, not values, but its `input` may be kept: only the paths go on.
    const fields = z.prettifyError(parsed.error);
    throw new LeasekeeperError(UNREADABLE, `The document ${path} cannot be read: ${fields}`, {
      hint: 'It was written by a later version, or by hand. Mend or remove it.',
    });
  }

  async #write(
    path: string,
    document: Readonly<Record<string, unknown>>,
    version: number,
  ): Promise<number | undefined> {
    try {
      return await this.#store.write(path, document, version);
    } catch (error) {
      if (isVaultError(error, 'vault_cas_mismatch')) return undefined;
      throw error;
    }
  }
}
