import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { noticeSchemas } from '../../lib/bus/event-schemas.ts';
import { isOutcome, outcomeTypeSchema } from '../../lib/bus/events.ts';
import { batchKeyOf, eventBody, noticeBody } from '../../lib/notices/dispatch.ts';
import { everyExample, examples } from '../bus/examples.ts';
import { projectFiles, readProjectFile } from './documents.ts';

const generated = noticeSchemas();
const written = projectFiles('docs/schemas/*').map((file): readonly [string, unknown] => [
  path.basename(file, '.json'),
  JSON.parse(readProjectFile(file)),
]);

const jsonSchema = z.custom<z.core.JSONSchema.JSONSchema>(
  (value) => typeof value === 'object' && value !== null,
);
const bodySchema = z.looseObject({ data: z.looseObject({}) });

/** As a receiver does: nothing but the schema that is written down. */
function fits(type: string, body: unknown): boolean {
  const schema = jsonSchema.parse(new Map(written).get(type));
  return z.fromJSONSchema(schema).safeParse(body).success;
}

describe('docs/schemas', () => {
  it('is what the contract generates', () => {
    expect(Object.fromEntries(written), 'Run `npm run schemas` and commit docs/schemas.').toEqual(
      JSON.parse(JSON.stringify(generated)),
    );
  });

  it('has a schema of every outcome, each named by its type', () => {
    expect(written.map(([type]) => type)).toEqual(['notices.batch', ...outcomeTypeSchema.options].toSorted());
    for (const [type, schema] of written) {
      expect(schema).toMatchObject({
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        $id: `urn:leasekeeper:event:${type}:1`,
        title: type,
        description: expect.stringMatching(/\.$/),
      });
    }
  });

  it('allows only the words of the contract', () => {
    const { type, time, data } = examples['secret.rotated'];
    expect(fits(type, { type, timestamp: time, data })).toBe(true);
    expect(fits(type, { type, timestamp: time, data: { ...data, reason: 'whim' } })).toBe(false);
    expect(fits(type, { type, timestamp: time, data: { ...data, generation: 1.5 } })).toBe(false);
  });

  it('describes a batch as it is sent', () => {
    const events = everyExample.filter(isOutcome);
    const key = batchKeyOf('api-gateway:1', events, 0);
    const body = bodySchema.parse(JSON.parse(noticeBody(key, { events, created: 0 })));

    expect(fits('notices.batch', body)).toBe(true);
    expect(fits('notices.batch', { ...body, data: { notices: [] } })).toBe(false);
    expect(fits('notices.batch', { ...body, data: { notices: [{ id: 1 }] } })).toBe(false);
  });

  it.each(everyExample.filter(isOutcome))(
    '$type fits the notice as it is sent, and nothing else',
    (event) => {
      const body = bodySchema.parse(JSON.parse(eventBody(event)));
      const { type } = event;
      const { data } = body;

      expect(fits(type, body)).toBe(true);
      expect(fits(type, { ...body, data: { ...data, added_later: 1 } })).toBe(true);

      expect(fits(type, { ...body, type: 'secret.unknown' })).toBe(false);
      expect(fits(type, { ...body, timestamp: 'yesterday' })).toBe(false);
      for (const field of Object.keys(data)) {
        expect(fits(type, { ...body, data: { ...data, [field]: null } }), `${field} is null`).toBe(false);
      }
      expect(fits(type, { ...body, data: {} })).toBe(false);
    },
  );
});
