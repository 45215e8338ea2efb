import { joinPath } from './addressing.ts';
import type { Vault } from './client.ts';

/** Connections of one database mount: what Vault itself logs in with (documented under "Database secrets engine" of Vault's HTTP API). */
export class DatabaseConnections {
  readonly #vault: Vault;
  readonly #mount: string;

  /** `mount` is a full path. */
  constructor(vault: Vault, mount: string) {
    this.#vault = vault;
    this.#mount = mount;
  }

  /**
   * Changes the password of the connection's own user; only Vault knows the new one. Throws `vault_unavailable` when the database does not
   * answer, and for an unknown connection.
   */
  async rotateRoot(connection: string): Promise<void> {
    await this.#post('rotate-root', connection, false);
  }

  /**
   * Closes the connection and logs in anew with what Vault has stored (seen on OpenBao 2.7, whatever `verify_connection` is). Throws
   * `vault_unavailable` when the database refuses the login or does not answer.
   */
  async reset(connection: string): Promise<void> {
    await this.#post('reset', connection, true);
  }

  async #post(operation: string, connection: string, repeatable: boolean): Promise<void> {
    await this.#vault.request({
      method: 'POST',
      path: joinPath(this.#mount, operation, connection),
      repeatable,
    });
  }
}
