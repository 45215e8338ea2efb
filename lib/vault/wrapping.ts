import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';

/** A single-use token that stands for a value until it is opened or `ttlSeconds` have passed. */
export interface WrappedSecret {
  readonly token: string;
  readonly accessor: string;
  readonly ttlSeconds: number;
}

const wrapAnswer = z.object({
  wrap_info: z.object({ token: z.string(), accessor: z.string(), ttl: z.number() }),
});

/**
 * Wraps data that we already hold. A dynamic secret is never wrapped by its own request: the answer would lack the lease id, and
 * if it were never opened the credential would live on unknown.
 */
export async function wrap(
  vault: Vault,
  namespace: string,
  data: Readonly<Record<string, unknown>>,
  ttlSeconds: number,
): Promise<WrappedSecret> {
  const answer = await vault.request({
    method: 'POST',
    path: joinPath(namespace, 'sys/wrapping/wrap'),
    body: data,
    wrapTtlSeconds: ttlSeconds,
    repeatable: true,
  });
  const { wrap_info } = parseAnswer(wrapAnswer, answer, 'wrapping a value');
  return { token: wrap_info.token, accessor: wrap_info.accessor, ttlSeconds: wrap_info.ttl };
}
