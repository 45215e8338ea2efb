import type { Secret } from '../telemetry/secret.ts';
import type { Vault, VaultClient } from './client.ts';

/** Vault, acting with one given token: a caller's, or that of one rotation attempt. */
export function actingWith(client: VaultClient, token: Secret): Vault {
  return {
    request: (request) => client.requestWith(token.expose(), request),
    now: () => client.now(),
  };
}
