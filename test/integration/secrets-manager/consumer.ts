import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from 'vitest';
import type { DynamicSecret, SecretsManager } from '../../../lib/index.ts';
import { withPostgres } from '../../support/postgres.ts';

/** Logs in to PostgreSQL with the credential and asks who it is. */
export async function whoAmI({ data }: DynamicSecret): Promise<string> {
  const login = { user: data.get('username'), password: data.get('password') };
  const { rows } = await withPostgres(
    inject,
    (client) => client.query<{ name: string }>('SELECT current_user AS name'),
    login,
  );
  return rows[0]?.name ?? '';
}

/** A consumer that logs in again and again with the current credential, until it is told to stop. */
export function consume(manager: SecretsManager, path: string) {
  const users = new Set<string>();
  const failures: unknown[] = [];
  let queries = 0;
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      try {
        users.add(await whoAmI(await manager.getDynamicSecret(path)));
        queries += 1;
      } catch (error) {
        failures.push(error);
      }
      await sleep(20);
    }
  })();
  return {
    users,
    failures,
    stop: async () => {
      stopped = true;
      await done;
      return queries;
    },
  };
}
