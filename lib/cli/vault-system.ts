import { codeOf } from '../errors.ts';
import { readListed } from '../host/managed-list.ts';
import {
  applySpecification,
  type Operator,
  pause,
  remove,
  resume,
  rotateNow,
  supply,
} from '../host/managed-operations.ts';
import { unknownName } from '../host/managed-refusals.ts';
import { summaryOf } from '../host/managed-summary.ts';
import { subscriptionActor } from '../host/subscription-actor.ts';
import { listSubscriptions } from '../host/subscription-list.ts';
import { noticesOf, replayNotices, testSubscription } from '../host/subscription-notices.ts';
import {
  changeSubscription,
  createSubscription,
  deleteSubscription,
  disableSubscription,
  enableSubscription,
  readSubscription,
  rotateSigningSecret,
} from '../host/subscription-operations.ts';
import { createAddressGuard } from '../notices/address-guard.ts';
import {
  newSubscriptionSchema,
  showable,
  subscriptionChangesSchema,
} from '../notices/subscription-changes.ts';
import type { ManagedSecret } from '../rotation/managed-secrets.ts';
import { writeAcknowledgement } from '../vault/acknowledgements.ts';
import { isVaultError } from '../vault/errors.ts';
import { allPages } from './all-pages.ts';
import { type Connection, withVault } from './connection.ts';
import type { VaultEnvironment } from './environment.ts';
import type { ManagedCalls, SubscriptionCalls, System } from './system.ts';

/** Runs `work` against the state in Vault, with the rights of VAULT_TOKEN. Throws `vault_token_missing`, `agenda_not_set_up`. */
export function withVaultSystem<Result>(
  environment: VaultEnvironment,
  work: (system: System) => Promise<Result>,
): Promise<Result> {
  return withVault(environment, async (connection) => {
    try {
      return await work({
        address: environment.address,
        scans: async () => undefined,
        managed: managedCalls(connection),
        subscriptions: subscriptionCalls(connection, environment.noticeAllow),
      });
    } catch (error) {
      // A mount that is not there is most likely a Vault that was never prepared.
      if (isVaultError(error, 'vault_not_found')) await tellUnprepared(connection);
      throw error;
    }
  });
}

/** Throws `agenda_not_set_up`. Who may not look is told what was the matter in the first place. */
async function tellUnprepared({ requirePrepared }: Connection): Promise<void> {
  try {
    await requirePrepared();
  } catch (error) {
    if (codeOf(error) === 'agenda_not_set_up') throw error;
  }
}

function managedCalls({ secrets, store, operator, requirePrepared }: Connection): ManagedCalls {
  const changed = async (work: (operator: Operator) => Promise<ManagedSecret>) =>
    summaryOf(await work(await operator()));
  return {
    list: async ({ removed }) => {
      const names = await secrets.names();
      // A mount that is not there lists like an empty one.
      if (names.length === 0) await requirePrepared();
      return (await readListed(secrets, names)).filter((one) => removed || one.removed !== true);
    },
    show: async (name) => {
      const secret = await secrets.read(name);
      if (secret === undefined) throw unknownName(name);
      return { ...summaryOf(secret), state: secret.state };
    },
    apply: async (written) => summaryOf(await applySpecification({ secrets }, written)),
    rotate: (name, leaked) => changed((who) => rotateNow(who, name, leaked)),
    pause: (name) => changed((who) => pause(who, name)),
    resume: (name) => changed((who) => resume(who, name)),
    remove: (name, credentials) => changed((who) => remove(who, name, credentials)),
    supply: (name, value) => changed((who) => supply(who, store, name, value)),
    acknowledge: async (name, consumer, generation) =>
      (await writeAcknowledgement(store, name, consumer, generation)).generation,
  };
}

const PAGE = 200;

function subscriptionCalls(
  { notices, deliveries, now, requirePrepared }: Connection,
  allow: readonly string[],
): SubscriptionCalls {
  const checkUrl = (url: string) => void createAddressGuard(allow).checkUrl(url);
  const actor = subscriptionActor({ notices, dispatches: notices, deliveries, checkUrl, now });
  return {
    list: async (consumer) => {
      const all = await allPages(async (after) => {
        const { subscriptions, next } = await listSubscriptions(notices, { consumer, after, limit: PAGE });
        return { items: subscriptions, next };
      });
      // A mount that is not there lists like an empty one. Who may see one consumer's only cannot tell.
      if (all.length === 0 && consumer === undefined) await requirePrepared();
      return all;
    },
    show: async (id) => showable(await readSubscription(actor, id)),
    create: async (wanted) => {
      const { subscription, secret } = await createSubscription(actor, newSubscriptionSchema.parse(wanted));
      return { ...showable(subscription), secret };
    },
    change: async (id, changes) =>
      showable(await changeSubscription(actor, id, subscriptionChangesSchema.parse(changes))),
    disable: async (id) => showable(await disableSubscription(actor, id)),
    enable: async (id) => showable(await enableSubscription(actor, id)),
    delete: (id) => deleteSubscription(actor, id),
    rotateSecret: async (id, overlapMs) => {
      const { subscription, secret } = await rotateSigningSecret(actor, id, { overlapMs });
      return { ...showable(subscription), secret };
    },
    test: (id) => testSubscription(actor, id),
    notices: (id, query) => noticesOf(actor, id, query),
    replay: (id, what, page) => replayNotices(actor, id, what, page),
  };
}
