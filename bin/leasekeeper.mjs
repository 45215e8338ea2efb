#!/usr/bin/env node
/**
 * The command `leasekeeper`. In the repository it runs the TypeScript sources; as an installed package it runs the
 * compiled ones, because Node strips no types inside node_modules.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { findNode, runToEnd, tooOld } from './node-runtime.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);

if (existsSync(path.join(root, 'lib/cli/main.ts'))) {
  const { bootstrap } = await import('../scripts/bootstrap.mjs');
  process.exitCode = await bootstrap(args);
} else {
  const node = findNode();
  if (!node) console.error(tooOld());
  process.exitCode = node ? await runToEnd(node, [path.join(root, 'dist/lib/cli/main.js'), ...args]) : 1;
}
