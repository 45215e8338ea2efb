import { once } from 'node:events';
import { createLogger } from '../../telemetry/log.ts';
import { readConfig } from '../config.ts';
import { identityOf } from '../identities.ts';
import { startOneProcess } from './one-process.ts';

/** `leasekeeper serve`: the one-process host on the user's own Vault, until it is told to stop. Resolves to the exit code. */
export async function runServe(): Promise<number> {
  const config = readConfig();
  const logger = createLogger({ level: config.logLevel, name: 'leasekeeper' });
  const host = await startOneProcess({ config, logger, identityOf: (name) => identityOf(config, name) });
  logger.info({ address: host.address, vault: config.vaultAddress, namespace: config.namespace }, 'serving');
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  logger.info({}, 'stopping');
  await host.close();
  return 0;
}
