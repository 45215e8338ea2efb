import pLimit from 'p-limit';
import * as z from 'zod';
import { type Outcome, outcomeSchema } from '../bus/events.ts';
import { LeasekeeperError } from '../errors.ts';
import { isVaultError } from '../vault/errors.ts';
import type { KvStore } from '../vault/kv-store.ts';
import { type Dispatch, dispatchSchema } from './dispatch.ts';
import { MOST_OF_ONE_OWNER, type Subscription, subscriptionSchema } from './subscription.ts';

/** A document at the version it was read. */
export interface Versioned<T> {
  readonly document: T;
  readonly version: number;
}

/** Told of a document that cannot be read, or of an owner. */
type OnUnreadable = (error: unknown, id: string) => void;

const UNREADABLE = 'notice_document_unreadable';
const PARALLEL_READS = 8;

/** OpenBao refuses a body with 1,000 strings or more, so a document that grows with the number of subscriptions is one string. */
const oneStringSchema = z.object({ json: z.string() });

/** The documents `subscriptions/<owner>/<name>`, `dispatches/<day>/<id>` and `batches/<owner>/<name>/<closes>/<event>`. */
export class NoticeStore {
  readonly #store: KvStore;
  readonly #limit = pLimit(PARALLEL_READS);

  constructor(store: KvStore) {
    this.#store = store;
  }

  /** All that can be read: one document that cannot must not keep every other subscriber from being told. */
  async subscriptions(onUnreadable: OnUnreadable): Promise<readonly Subscription[]> {
    const owned = await Promise.all(
      (await this.owners()).map((owner) => this.subscriptionsOf(owner, onUnreadable)),
    );
    return owned.flat();
  }

  /** Those of one owner. No more than an owner may have: it may write its folder itself, and all share the document of a dispatch. */
  async subscriptionsOf(owner: string, onUnreadable: OnUnreadable): Promise<readonly Subscription[]> {
    const ids = await this.subscriptionIds(owner);
    if (ids.length > MOST_OF_ONE_OWNER) onUnreadable(tooMany(owner), owner);
    return this.readable(ids.slice(0, MOST_OF_ONE_OWNER), onUnreadable);
  }

  /** Whoever has subscriptions. */
  async owners(): Promise<readonly string[]> {
    const folders = await this.#store.list('subscriptions');
    return folders.filter((name) => name.endsWith('/')).map((folder) => folder.slice(0, -1));
  }

  /** Ids of one owner's, sorted. */
  async subscriptionIds(owner: string): Promise<readonly string[]> {
    const names = await this.#limit(() => this.#store.list(`subscriptions/${owner}`));
    return names
      .filter((name) => !name.endsWith('/'))
      .map((name) => `${owner}:${name}`)
      .toSorted();
  }

  /** Those of these that are there and can be read. */
  async readable(ids: readonly string[], onUnreadable: OnUnreadable): Promise<readonly Subscription[]> {
    const readOne = async (id: string): Promise<readonly Subscription[]> => {
      try {
        const found = await this.#limit(() => this.subscription(id));
        return found === undefined ? [] : [found.document];
      } catch (error) {
        if (!(error instanceof LeasekeeperError) || error.code !== UNREADABLE) throw error;
        onUnreadable(error, id);
        return [];
      }
    };
    return (await Promise.all(ids.map(readOne))).flat();
  }

  /** An owner may write its documents itself: one that calls itself another's is not read, for what it hears follows from its id. */
  subscription(id: string): Promise<Versioned<Subscription> | undefined> {
    const named = subscriptionSchema.refine((subscription) => subscription.id === id, {
      path: ['id'],
      message: `expected ${id}, as its path has it`,
    });
    return this.#read(subscriptionPath(id), named);
  }

  /** Undefined: somebody else wrote first. */
  saveSubscription(subscription: Subscription, version: number): Promise<number | undefined> {
    return this.#write(subscriptionPath(subscription.id), subscription, version);
  }

  /** Its name is not used again. */
  deleteSubscription(id: string): Promise<void> {
    return this.#store.deleteMetadata(subscriptionPath(id));
  }

  dispatch(key: string): Promise<Versioned<Dispatch> | undefined> {
    return this.#read(`dispatches/${key}`, inOneString(dispatchSchema));
  }

  /** Undefined: somebody else wrote first; for a new one (version 0): it is there already. */
  saveDispatch(key: string, dispatch: Dispatch, version: number): Promise<number | undefined> {
    return this.#write(`dispatches/${key}`, { json: JSON.stringify(dispatch) }, version);
  }

  /** Keys of the dispatches of one day, sorted. */
  async dispatchesOf(day: string): Promise<readonly string[]> {
    return (await this.#store.list(`dispatches/${day}`)).map((id) => `${day}/${id}`).toSorted();
  }

  /** Days that have dispatches, the last one first. */
  async days(): Promise<readonly string[]> {
    const folders = await this.#store.list('dispatches');
    return folders
      .map((folder) => folder.replace(/\/$/, ''))
      .toSorted()
      .reverse();
  }

  /** The key is made from the event's id and is not used again: by then the event is older than any duplicate. */
  deleteDispatch(key: string): Promise<void> {
    return this.#limit(() => this.#store.deleteMetadata(`dispatches/${key}`));
  }

  /** Puts an event into a batch. Written again it stays as it is. */
  async gather(subscription: string, closes: number, event: Outcome): Promise<void> {
    await this.#write(`${batchFolder(subscription, closes)}/${event.id}`, { json: JSON.stringify(event) }, 0);
  }

  /** Events in a batch, in the order in which they happened. */
  async gathered(subscription: string, closes: number): Promise<readonly Outcome[]> {
    const folder = batchFolder(subscription, closes);
    const ids = await this.#store.list(folder);
    const read = await Promise.all(
      ids.map((id) => this.#limit(() => this.#read(`${folder}/${id}`, inOneString(outcomeSchema)))),
    );
    return read
      .flatMap((found) => (found === undefined ? [] : [found.document]))
      .toSorted((a, b) => (a.time === b.time ? (a.id < b.id ? -1 : 1) : a.time < b.time ? -1 : 1));
  }

  /** A batch closes once, so its events' places are not used again. */
  async deleteGathered(subscription: string, closes: number, events: readonly Outcome[]): Promise<void> {
    const folder = batchFolder(subscription, closes);
    await Promise.all(
      events.map(({ id }) => this.#limit(() => this.#store.deleteMetadata(`${folder}/${id}`))),
    );
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

function inOneString<T>(schema: z.ZodType<T>) {
  return oneStringSchema.transform(({ json }, context): T => {
    try {
      const parsed = schema.safeParse(JSON.parse(json));
      if (parsed.success) return parsed.data;
      for (const { path, message } of parsed.error.issues)
        context.addIssue({ code: 'custom', path, message });
    } catch {
      context.addIssue({ code: 'custom', message: 'expected JSON' });
    }
    return z.NEVER;
  });
}

function tooMany(owner: string): LeasekeeperError {
  return new LeasekeeperError(
    'subscriptions_full',
    `${owner} has more than ${MOST_OF_ONE_OWNER} subscriptions: the rest hear nothing.`,
    { hint: 'Delete some.' },
  );
}

function subscriptionPath(id: string): string {
  return `subscriptions/${id.replace(':', '/')}`;
}

function batchFolder(subscription: string, closes: number): string {
  return `batches/${subscription.replace(':', '/')}/${closes}`;
}
