import { readVaultEnvironment } from './environment.ts';
import type { CliIo } from './io.ts';
import { readApiEnvironment } from './remote/api-environment.ts';
import { withApiSystem } from './remote/api-system.ts';
import type { System } from './system.ts';
import { withVaultSystem } from './vault-system.ts';

/** Runs `work` against what the environment names: the API at LEASEKEEPER_URL, or else Vault. */
export async function withSystem(
  { environment }: Pick<CliIo, 'environment'>,
  work: (system: System) => Promise<number>,
): Promise<number> {
  const api = await readApiEnvironment(environment);
  if (api !== undefined) return withApiSystem(api, work);
  return withVaultSystem(await readVaultEnvironment(environment), work);
}
