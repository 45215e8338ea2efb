/**
 * Checks the arrows between the rooms by .dependency-cruiser.mjs. A cruiser that finds no module, as it does when it
 * has no parser for the language, finds no violation either: that counts as a failure.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import * as z from 'zod';

const root = path.dirname(import.meta.dirname);
const reportSchema = z.object({
  summary: z.object({
    totalCruised: z.number(),
    violations: z.array(
      z.object({
        from: z.string(),
        to: z.string(),
        rule: z.object({ name: z.string() }),
        comment: z.string().optional(),
        cycle: z.array(z.object({ name: z.string() })).optional(),
      }),
    ),
    ruleSetUsed: z.object({ forbidden: z.array(z.object({ name: z.string(), comment: z.string() })) }),
  }),
});

const cruiser = path.join(root, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
const places = ['lib', 'functions', 'test', 'bin', 'scripts'];
const args = [cruiser, '--config', '.dependency-cruiser.mjs', '--output-type', 'json', ...places];
const run = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 });
if (!run.stdout.startsWith('{')) throw new Error(`dependency-cruiser failed:\n${run.stderr}${run.stdout}`);
const { totalCruised, violations, ruleSetUsed } = reportSchema.parse(JSON.parse(run.stdout)).summary;

for (const { from, to, rule, cycle } of violations) {
  const why = ruleSetUsed.forbidden.find(({ name }) => name === rule.name)?.comment ?? '';
  const way = cycle ? [from, ...cycle.map(({ name }) => name)].join(' → ') : `${from} → ${to}`;
  console.log(`${rule.name}: ${way}\n  ${why}`);
}
console.log(`${totalCruised} modules cruised, ${violations.length} violations`);
if (totalCruised === 0 || violations.length > 0) process.exitCode = 1;
