import { Book } from '../agenda/book.ts';
import { DELIVERIES, type Hint, ROTATIONS } from '../agenda/hint.ts';
import type { Operator } from '../host/managed-operations.ts';
import { NoticeStore } from '../notices/notice-store.ts';
import { ManagedSecrets } from '../rotation/managed-secrets.ts';
import { actingWith } from '../vault/acting-with.ts';
import { type Vault, VaultClient } from '../vault/client.ts';
import { isVaultError } from '../vault/errors.ts';
import { KvStore } from '../vault/kv-store.ts';
import { lookupSelf } from '../vault/tokens.ts';
import { createTransport } from '../vault/transport.ts';
import { tokenOf, type VaultEnvironment } from './environment.ts';

/** A Vault, acting as whoever called the command. */
export interface Connection {
  readonly vault: Vault;
  /** The state mount. */
  readonly store: KvStore;
  readonly secrets: ManagedSecrets;
  readonly notices: NoticeStore;
  /** What has a worker send notices. */
  readonly deliveries: Book<Hint>;
  /** Milliseconds since the epoch, by Vault's clock. */
  readonly now: () => number;
  /** The managed secrets with who it is, as Vault names the token; asked for only where it is written down. */
  readonly operator: () => Promise<Operator>;
  /** Throws `agenda_not_set_up` where this Vault is not prepared. */
  readonly requirePrepared: () => Promise<void>;
}

/** Runs `work` with a connection and closes it whatever happens. Throws `vault_token_missing`. */
export async function withVault<Result>(
  environment: VaultEnvironment,
  work: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const token = tokenOf(environment);
  const { address, ca } = environment;
  const transport = createTransport({ address, ...(ca === undefined ? {} : { ca }) });
  const client = new VaultClient({ transport });
  try {
    const vault = actingWith(client, token);
    const store = new KvStore(vault, environment.state);
    const now = () => client.now();
    const book = new Book({ kind: ROTATIONS, store, now, random: Math.random });
    const secrets = new ManagedSecrets({ store, book, now });
    const deliveries = new Book({ kind: DELIVERIES, store, now, random: Math.random });
    const notices = new NoticeStore(store);
    const requirePrepared = async () => {
      await book.shardOf('');
    };
    const operator = async () => ({ secrets, now, by: await nameOf(vault, environment) });
    return await work({ vault, store, secrets, notices, deliveries, now, operator, requirePrepared });
  } finally {
    await client.close();
  }
}

/** A token may not always ask who it is; then it is known for where it came from. */
async function nameOf(vault: Vault, { authNamespace }: VaultEnvironment): Promise<string> {
  try {
    return (await lookupSelf(vault, authNamespace)).holder.displayName || 'cli';
  } catch (error) {
    if (isVaultError(error, 'vault_denied')) return 'cli';
    throw error;
  }
}
