import pLimit, { type LimitFunction } from 'p-limit';
import type { Bus } from '../bus/bus.ts';
import { announcementOf, healthAfter } from './health.ts';
import type { KnownSubscriptions } from './known-subscriptions.ts';
import type { AttemptResult } from './notice.ts';
import type { NoticeStore, Versioned } from './notice-store.ts';
import type { Subscription } from './subscription.ts';

export interface EndpointHealthOptions {
  readonly notices: NoticeStore;
  readonly subscriptions: KnownSubscriptions;
  readonly bus: Bus;
  readonly now: () => number;
}

/** Workers that end attempts at one endpoint together write its health one after another. */
const MOST_TRIES = 8;

/** Keeps in Vault whether endpoints are well: written on a change only, whoever else writes. */
export class EndpointHealth {
  readonly #options: EndpointHealthOptions;
  readonly #turns = new Map<string, LimitFunction>();

  constructor(options: EndpointHealthOptions) {
    this.#options = options;
  }

  /** Takes an attempt into account. `known` is the subscription as the attempt saw it. */
  async report(known: Subscription, result: AttemptResult): Promise<void> {
    if (healthAfter(known, result, this.#options.now()) === known) return;
    const turn = this.#turns.get(known.id) ?? pLimit(1);
    this.#turns.set(known.id, turn);
    await turn(() => this.#write(known.id, result));
  }

  async #write(id: string, result: AttemptResult): Promise<void> {
    const { notices, subscriptions } = this.#options;
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const found = await notices.subscription(id);
      if (found === undefined) return;
      const now = this.#options.now();
      const after = healthAfter(found.document, result, now);
      if (after === found.document) return subscriptions.put(found);
      if (!(await this.#announce(found, after, now))) return;
      const version = await notices.saveSubscription(after, found.version);
      if (version !== undefined) return subscriptions.put({ document: after, version });
    }
  }

  /**
   * Tells the others by an event, before it is written: else a crash in between would disable in silence. False: the bus did not take it,
   * so nothing may be written; the next attempt sees the same.
   */
  async #announce({ document, version }: Versioned<Subscription>, after: Subscription, now: number) {
    const event = announcementOf(document, after, version, now);
    if (event === undefined) return true;
    return (await this.#options.bus.publish([event])).has(event.id);
  }
}
