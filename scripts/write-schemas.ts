/**
 * Writes docs/schemas: one JSON Schema for each type of notice, generated from the contract in lib/bus/events.ts. `npm run schemas` runs it.
 * A schema whose type there no longer is goes.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { noticeSchemas } from '../lib/bus/event-schemas.ts';

const folder = path.join(path.dirname(import.meta.dirname), 'docs/schemas');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
for (const [type, schema] of Object.entries(noticeSchemas())) {
  writeFileSync(path.join(folder, `${type}.json`), `${JSON.stringify(schema, null, 2)}\n`);
}
