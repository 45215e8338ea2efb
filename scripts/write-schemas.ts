/**
 * Writes docs/schemas, one JSON Schema for each type of notice, generated from the contract in lib/bus/events.ts; and docs/openapi.json,
 * the description of all routes. `npm run schemas` runs it. A schema whose type there no longer is goes.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { noticeSchemas } from '../lib/bus/event-schemas.ts';
import { openApi } from '../lib/host/openapi/openapi.ts';

const docs = path.join(path.dirname(import.meta.dirname), 'docs');
const folder = path.join(docs, 'schemas');
const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
for (const [type, schema] of Object.entries(noticeSchemas())) {
  writeFileSync(path.join(folder, `${type}.json`), json(schema));
}
writeFileSync(path.join(docs, 'openapi.json'), json(openApi()));
