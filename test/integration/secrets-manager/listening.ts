import type { SecretsManager, SecretsManagerEvents } from '../../../lib/index.ts';

/** Everything a manager told, by the name of the event. */
export type Told = { readonly [Name in keyof SecretsManagerEvents]: SecretsManagerEvents[Name][] };

export function listening(manager: SecretsManager): Told {
  const told: Told = { rotated: [], renewed: [], expiring: [], lost: [], fault: [] };
  manager.on('rotated', (event) => told.rotated.push(event));
  manager.on('renewed', (event) => told.renewed.push(event));
  manager.on('expiring', (event) => told.expiring.push(event));
  manager.on('lost', (event) => told.lost.push(event));
  manager.on('fault', (event) => told.fault.push(event));
  return told;
}
