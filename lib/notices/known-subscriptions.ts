import type { NoticeStore, Versioned } from './notice-store.ts';
import type { Subscription } from './subscription.ts';

/** How old what is known of subscriptions may be, in milliseconds: a change is heard of within this. */
export const KNOWN_FOR_MS = 10_000;

export interface KnownSubscriptionsOptions {
  readonly notices: NoticeStore;
  readonly now: () => number;
  /** Told of a subscription that cannot be read. */
  readonly onError: (error: unknown, id: string) => void;
}

/**
 * All subscriptions as they were a few seconds ago: read once for many events, not once for each. What nobody knows of, or was disabled, is
 * looked up again before a notice is given up for it.
 */
export class KnownSubscriptions {
  readonly #options: KnownSubscriptionsOptions;
  #known: { readonly since: number; readonly all: Promise<Map<string, Subscription>> } | undefined;

  constructor(options: KnownSubscriptionsOptions) {
    this.#options = options;
  }

  async all(): Promise<readonly Subscription[]> {
    return [...(await this.#map()).values()];
  }

  /** Throws `notice_document_unreadable` for one that cannot be read. */
  async find(id: string): Promise<Subscription | undefined> {
    const known = (await this.#map()).get(id);
    if (known !== undefined && known.disabled === undefined) return known;
    const found = await this.#options.notices.subscription(id);
    if (found !== undefined) await this.put(found);
    return found?.document;
  }

  /** One that was just read or written. */
  async put({ document }: Versioned<Subscription>): Promise<void> {
    (await this.#map()).set(document.id, document);
  }

  #map(): Promise<Map<string, Subscription>> {
    const now = this.#options.now();
    if (this.#known !== undefined && now - this.#known.since < KNOWN_FOR_MS) return this.#known.all;
    const fresh = { since: now, all: this.#read() };
    this.#known = fresh;
    fresh.all.catch(() => {
      if (this.#known === fresh) this.#known = undefined;
    });
    return fresh.all;
  }

  async #read(): Promise<Map<string, Subscription>> {
    const all = await this.#options.notices.subscriptions(this.#options.onError);
    return new Map(all.map((one) => [one.id, one]));
  }
}
