import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';

const errorsSchema = z.object({ errors: z.array(z.string()) });

/** Hands out what the global set-up has provided; vitest's own `inject`. */
export type InjectOpenBao = (key: 'openbao') => { address: string; rootToken: string };

/** Vault refused a request of the set-up. */
export class AdminError extends Error {
  readonly status: number;
  /** Vault's own messages. */
  readonly errors: readonly string[];

  constructor(what: string, status: number, errors: readonly string[]) {
    super(`${what}: ${status} ${errors.join('; ')}`);
    this.name = 'AdminError';
    this.status = status;
    this.errors = errors;
  }
}

/** A client with the root token, for preparing and inspecting what a test works on. */
export interface Admin {
  readonly address: string;
  readonly rootToken: string;
  /**
   * One request to `/v1/<path>`: the parsed answer, undefined if there is no body. Throws AdminError on any status
   * from 300 on. `token` acts as someone else.
   */
  request(method: string, path: string, body?: unknown, token?: string): Promise<unknown>;
  /** As `request`, and the answer's shape is checked. */
  read<Schema extends z.ZodType>(
    schema: Schema,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<z.infer<Schema>>;
}

/** The administrator of the shared OpenBao: `admin(inject)`. */
export function admin(inject: InjectOpenBao): Admin {
  return adminOf(inject('openbao'));
}

/** The administrator of any OpenBao. */
export function adminOf({ address, rootToken }: { address: string; rootToken: string }): Admin {
  const request: Admin['request'] = async (method, path, body, token = rootToken) => {
    const answer = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { 'X-Vault-Token': token },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const parsed: unknown = text === '' ? undefined : JSON.parse(text);
    if (answer.ok) return parsed;
    const errors = errorsSchema.safeParse(parsed).data?.errors ?? [];
    if (errors.some((error) => error.startsWith('Upgrading from non-versioned'))) {
      // A KV v2 mount is not ready for a moment after it was made.
      await sleep(20);
      return request(method, path, body, token);
    }
    throw new AdminError(`${method} ${path}`, answer.status, errors);
  };
  return {
    address,
    rootToken,
    request,
    read: async (schema, method, path, body) => schema.parse(await request(method, path, body)),
  };
}

/** A name no other test has: `prefix-` and 10 hex digits. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(5).toString('hex')}`;
}
