import { inject } from 'vitest';
import type { SecretsManagerOptions, Transport } from '../../../lib/index.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import { createTransport } from '../../../lib/vault/transport.ts';

/** A real transport whose way to Vault can be cut. */
export function cuttable() {
  const real = createTransport({ address: inject('openbao').address });
  let cut = false;
  const paths: string[] = [];
  const transport: Transport = {
    exchange: (exchange) => {
      if (cut) return Promise.reject(new VaultError('vault_unreachable', 'The way is cut.'));
      paths.push(exchange.path);
      return real.exchange(exchange);
    },
    close: () => real.close(),
  };
  const options: SecretsManagerOptions = { transport, retry: { attempts: 1 } };
  return {
    options,
    paths,
    cut: () => {
      cut = true;
    },
    mend: () => {
      cut = false;
    },
  };
}
