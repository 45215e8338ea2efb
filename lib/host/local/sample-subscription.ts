import { randomBytes } from 'node:crypto';
import { NoticeStore } from '../../notices/notice-store.ts';
import { createSigningSecret } from '../../notices/signature.ts';
import { EVERYBODY, type Subscription } from '../../notices/subscription.ts';
import type { KvStore } from '../../vault/kv-store.ts';

/** The sample's one subscription. */
export const SAMPLE_SUBSCRIPTION = `${EVERYBODY}:sample`;

/** The signing secret of the sample's subscription: the one in Vault, else a new one. */
export async function signingSecretOf(store: KvStore): Promise<string> {
  const existing = await new NoticeStore(store).subscription(SAMPLE_SUBSCRIPTION);
  return existing?.document.secrets[0]?.secret ?? createSigningSecret(randomBytes);
}

/** Points the subscription at this start's receiver; written only when something differs. */
export async function writeSampleSubscription(store: KvStore, url: string, secret: string): Promise<void> {
  const notices = new NoticeStore(store);
  const existing = await notices.subscription(SAMPLE_SUBSCRIPTION);
  if (existing?.document.url === url && existing.document.disabled === undefined) return;
  const subscription: Subscription = {
    id: SAMPLE_SUBSCRIPTION,
    url,
    types: ['secret.*', 'lease.*'],
    names: ['*'],
    secrets: [{ secret }],
  };
  await notices.saveSubscription(subscription, existing?.version ?? 0);
}
