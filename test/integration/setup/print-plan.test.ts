import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runCommand } from '../../../lib/host/local/run-command.ts';
import { applyPlan } from '../../../lib/host/setup/apply-plan.ts';
import { planSetup } from '../../../lib/host/setup/plan.ts';
import { printPlan } from '../../../lib/host/setup/print-plan.ts';
import { createSetupWorld, LAYOUTS, type SetupWorld } from './setup-world.ts';

describe.each(LAYOUTS)('the printed plan, layout %s', (layout) => {
  let applied: SetupWorld;
  let printed: SetupWorld;
  let folder: string;

  beforeAll(async () => {
    [applied, printed] = await Promise.all([createSetupWorld(layout), createSetupWorld(layout)]);
    folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-setup-'));
  });
  afterAll(async () => {
    await Promise.all([applied.close(), printed.close(), rm(folder, { recursive: true })]);
  });

  it('makes an equal Vault when it is run', async () => {
    const plan = planSetup(applied.options);
    await applyPlan(applied.vault, plan, { update: false });
    await run(printPlan(planSetup(printed.options)));
    // Everything that applying reads back, whole, and not only the fields that it compares.
    for (const { read } of plan) {
      expect(await readAt(printed, read.path), read.path).toEqual(await readAt(applied, read.path));
    }
    const reports = await applyPlan(printed.vault, planSetup(printed.options), { update: true });
    expect(new Set(reports.map(({ outcome }) => outcome))).toEqual(new Set(['there']));
    expect(printed.takeWrites()).toEqual([]);
  });

  /** As a person would, with VAULT_NAMESPACE set as Leasekeeper understands it. */
  async function run(script: string): Promise<void> {
    const { address, rootToken } = inject('openbao');
    const file = path.join(folder, 'setup.sh');
    await writeFile(file, script);
    const result = await runCommand('sh', [file], {
      env: {
        PATH: process.env.PATH,
        HOME: folder,
        BAO: inject('binaries').openbao,
        VAULT_ADDR: address,
        VAULT_TOKEN: rootToken,
        VAULT_NAMESPACE: 'lotabots',
      },
      timeoutMs: 50_000,
    });
    expect(result.code, result.stderr).toBe(0);
  }

  /** An answer without what is unique to each Vault. */
  async function readAt(world: SetupWorld, fullPath: string): Promise<unknown> {
    const there = world.root + fullPath.slice(applied.root.length);
    const answer = await world.admin.request('GET', there);
    const unique = /"(request_id|accessor|uuid|created_time|modified|role_id)":"[^"]*"/g;
    return JSON.parse(JSON.stringify(answer).replace(unique, '"$1":""').replaceAll(world.root, 'root'));
  }
});
