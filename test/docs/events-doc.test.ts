import { describe, expect, it } from 'vitest';
import { eventIn, eventSchema, eventSchemas, type LeasekeeperEvent } from '../../lib/bus/events.ts';
import { fencedBlocks, readProjectFile } from './documents.ts';

const blocks = fencedBlocks(readProjectFile('docs/events.md'), 'json').map((text): unknown =>
  JSON.parse(text),
);

/** An event as it stands in the document: alone, or in the envelope of the bus. */
function eventOf(block: unknown): LeasekeeperEvent {
  const inEnvelope = typeof block === 'object' && block !== null && 'detail' in block;
  return inEnvelope ? eventIn(block) : eventSchema.parse(block);
}

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
  it.each(blocks.map((block, index) => [index + 1, block] as const))(
    'shows events of the contract and nothing beside them: JSON block %i',
    (_, block) => {
      expect(eventOf(block)).toEqual(shownIn(block));
    },
  );

  it('shows every type of event', () => {
    const shown = new Set(blocks.map((block) => eventOf(block).type));
    expect([...shown].toSorted()).toEqual(Object.keys(eventSchemas).toSorted());
  });

  it('shows an event in its envelope', () => {
    expect(blocks.some((block) => shownIn(block) !== block)).toBe(true);
  });
});
