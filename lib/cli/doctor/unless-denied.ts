import { isVaultError } from '../../vault/errors.ts';

/** What may be refused is asked, and a refusal is undefined. Other faults of Vault are thrown as they are. */
export async function unlessDenied<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (isVaultError(error, 'vault_denied', 'vault_bad_request')) return undefined;
    throw error;
  }
}
