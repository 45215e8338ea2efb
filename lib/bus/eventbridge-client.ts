/**
 * The part of AWS's SDK that publishes. Imported only by `import()`, when there is something to publish: it takes longer to load than all
 * of our own code, and most scans find nothing due.
 */
import {
  EventBridgeClient,
  PutEventsCommand,
  type PutEventsRequestEntry,
  type PutEventsResultEntry,
} from '@aws-sdk/client-eventbridge';

/** Sends entries with one PutEvents; gives what became of each, in their order. Throws what the SDK throws. */
export type PutEvents = (entries: PutEventsRequestEntry[]) => Promise<readonly PutEventsResultEntry[]>;

/** EventBridge in the region, and with the credentials, that AWS's own variables say. */
export function openEventBridge(
  client: Pick<EventBridgeClient, 'send'> = new EventBridgeClient({ maxAttempts: 3 }),
): PutEvents {
  return async (entries) => (await client.send(new PutEventsCommand({ Entries: entries }))).Entries ?? [];
}
