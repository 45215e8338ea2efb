import * as z from 'zod';
import type { AuthMethod } from '../../../lib/vault/auth/login.ts';
import { VaultClient } from '../../../lib/vault/client.ts';

const bodySchema = z.record(z.string(), z.string());

/** What a login asked of Vault. */
export interface AskedLogin {
  readonly path: string;
  readonly body: Readonly<Record<string, string>>;
}

/** Has a method log in where every login is refused, and gives what it asked. */
export async function askedBy(method: AuthMethod, now: () => number = Date.now): Promise<AskedLogin> {
  let asked: AskedLogin | undefined;
  const client = new VaultClient({
    now,
    transport: {
      exchange: async ({ path, body = '{}' }) => {
        asked = { path, body: bodySchema.parse(JSON.parse(body)) };
        return { status: 403, headers: {}, body: '{"errors":["permission denied"]}' };
      },
      close: async () => {},
    },
  });
  const thrown: unknown = await method.login(client).catch((error: unknown) => error);
  if (asked === undefined) throw thrown;
  return asked;
}

/** All that an error says to whoever prints it, logs it or walks through its causes. */
export function saidBy(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const fields = JSON.stringify(error, Object.getOwnPropertyNames(error));
  return [String(error), error.stack, fields, error.cause === undefined ? '' : saidBy(error.cause)].join(
    '\n',
  );
}
