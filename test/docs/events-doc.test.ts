import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { cloudEventOf } from '../../lib/bus/cloud-event.ts';
import { eventIn } from '../../lib/bus/envelope.ts';
import { eventSchema, eventSchemas, isOutcome, type LeasekeeperEvent } from '../../lib/bus/events.ts';
import { fencedBlocks, readProjectFile } from './documents.ts';

const blocks = fencedBlocks(readProjectFile('docs/events.md'), 'json').map((text): unknown =>
  JSON.parse(text),
);

/** An event as it stands in the document: alone, or in the envelope of the bus. */
function eventOf(block: unknown): LeasekeeperEvent {
  const inEnvelope = typeof block === 'object' && block !== null && 'detail' in block;
  return inEnvelope ? eventIn(block) : eventSchema.parse(block);
}

const aCloudEvent = z.object({ detail: z.looseObject({ specversion: z.string() }) });

/** What the document shows of the event itself; fields that the contract does not know would vanish in parsing. */
function shownIn(block: unknown): unknown {
  const isObject = typeof block === 'object' && block !== null;
  if (isObject && 'detail' in block && 'detail-type' in block) {
    const { detail } = block;
    const shown = typeof detail === 'object' && detail !== null ? detail : {};
    const { schema_version: _, ...rest } = Object.assign({ schema_version: 0 }, shown);
    return { ...rest, type: block['detail-type'] };
  }
  return block;
}

describe('docs/events.md', () => {
  const numbered = blocks.map((block, index) => [index + 1, block] as const);
  const [asCloudEvents, plain] = [true, false].map((wanted) =>
    numbered.filter(([, block]) => aCloudEvent.safeParse(block).success === wanted),
  );

  it.each(plain ?? [])('shows events of the contract and nothing beside them: JSON block %i', (_, block) => {
    expect(eventOf(block)).toEqual(shownIn(block));
  });

  it('shows a CloudEvent', () => {
    expect(asCloudEvents).toHaveLength(1);
  });

  it.each(asCloudEvents ?? [])('shows a CloudEvent as it is sent: JSON block %i', (_, block) => {
    const event = eventOf(block);
    expect(isOutcome(event) && cloudEventOf(event)).toEqual(aCloudEvent.parse(block).detail);
  });

  it('shows every type of event', () => {
    const shown = new Set(blocks.map((block) => eventOf(block).type));
    expect([...shown].toSorted()).toEqual(Object.keys(eventSchemas).toSorted());
  });

  it('shows an event in its envelope', () => {
    expect(plain?.some(([, block]) => shownIn(block) !== block)).toBe(true);
  });
});
