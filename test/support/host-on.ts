import { type Environment, readConfig } from '../../lib/host/config.ts';
import type { OneProcessOptions } from '../../lib/host/local/one-process.ts';
import { createLogger } from '../../lib/telemetry/log.ts';
import { Secret } from '../../lib/telemetry/secret.ts';
import { tokenAuth } from '../../lib/vault/auth/token.ts';

/** Where a host works, and as whom. */
export interface HostPlace {
  readonly address: string;
  readonly rootToken: string;
  readonly namespace?: string;
  readonly stateMount?: string;
}

/** What a one-process host is started with for a test: on a free port, all functions as root, no log; and the variables that are given. */
export function hostOn(
  { address, rootToken, namespace, stateMount }: HostPlace,
  more: Environment = {},
): Pick<OneProcessOptions, 'config' | 'logger' | 'identityOf'> {
  return {
    config: readConfig({
      VAULT_ADDR: address,
      VAULT_NAMESPACE: namespace,
      VAULT_TOKEN: rootToken,
      LEASEKEEPER_AUTH: 'token',
      LEASEKEEPER_STATE_MOUNT: stateMount,
      LEASEKEEPER_LISTEN: '127.0.0.1:0',
      ...more,
    }),
    logger: createLogger({ level: 'silent', name: 'test', destination: { write: () => {} } }),
    identityOf: () => tokenAuth(new Secret(rootToken)),
  };
}
