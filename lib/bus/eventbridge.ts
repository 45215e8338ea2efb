import type {
  EventBridgeClient,
  PutEventsRequestEntry,
  PutEventsResultEntry,
} from '@aws-sdk/client-eventbridge';
import { LeasekeeperError } from '../errors.ts';
import type { Bus } from './bus.ts';
import { cloudEventOf } from './cloud-event.ts';
import { detailOf } from './envelope.ts';
import type { PutEvents } from './eventbridge-client.ts';
import { EVENT_SOURCE, isOutcome, type LeasekeeperEvent } from './events.ts';

export interface EventBridgeBusOptions {
  /** Name or ARN of the custom bus. */
  readonly busName: string;
  /** Whether the `Detail` of an outcome is a CloudEvent. Commands are for our own workers and never are. */
  readonly cloudEvents?: boolean;
  readonly client?: Pick<EventBridgeClient, 'send'>;
}

/** PutEvents takes this many entries at once (AWS: "PutEvents", API reference). */
const MOST_ENTRIES = 10;
const TRIES = 3;

/**
 * The bus on AWS. PutEvents answers 200 even when it has refused some entries: those are sent again, and an event counts as taken only
 * when its own entry has no error code. Throws `bus_unavailable` when nothing was taken.
 */
export function createEventBridgeBus(options: EventBridgeBusOptions): Bus {
  let opened: PutEvents | undefined;
  const put: PutEvents = async (entries) => {
    const { openEventBridge } = await import('./eventbridge-client.ts');
    opened ??= openEventBridge(options.client);
    return opened(entries);
  };
  return {
    publish: async (events) => {
      const taken = new Set<string>();
      let fault: unknown;
      for (let start = 0; start < events.length; start += MOST_ENTRIES) {
        try {
          await putAll(put, options, events.slice(start, start + MOST_ENTRIES), taken);
        } catch (error) {
          fault = error;
        }
      }
      if (taken.size === 0 && events.length > 0) throw unavailable(fault);
      return taken;
    },
  };
}

async function putAll(
  put: PutEvents,
  options: EventBridgeBusOptions,
  events: readonly LeasekeeperEvent[],
  taken: Set<string>,
): Promise<void> {
  let rest = events;
  for (let attempt = 0; attempt < TRIES && rest.length > 0; attempt += 1) {
    const results = await put(rest.map((event) => entryOf(event, options)));
    for (const event of rest.filter((_, index) => isTaken(results[index]))) taken.add(event.id);
    rest = rest.filter(({ id }) => !taken.has(id));
  }
}

function isTaken(entry: PutEventsResultEntry | undefined): boolean {
  return entry?.EventId !== undefined && entry.ErrorCode === undefined;
}

function entryOf(
  event: LeasekeeperEvent,
  { busName, cloudEvents = false }: EventBridgeBusOptions,
): PutEventsRequestEntry {
  const detail = cloudEvents && isOutcome(event) ? cloudEventOf(event) : detailOf(event);
  return {
    EventBusName: busName,
    Source: EVENT_SOURCE,
    DetailType: event.type,
    Time: new Date(event.time),
    Detail: JSON.stringify(detail),
  };
}

function unavailable(cause: unknown): LeasekeeperError {
  return new LeasekeeperError('bus_unavailable', 'EventBridge took none of the events.', {
    hint: 'Check that the bus exists and that the function may call events:PutEvents on it.',
    ...(cause instanceof Error ? { cause: new Error(cause.name) } : {}),
  });
}
