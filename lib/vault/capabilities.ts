import * as z from 'zod';
import { joinPath, within } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';

/** What a token may do at each full path, in Vault's own words (`read`, `update`, `deny`, `root`…). */
export type Capabilities = ReadonlyMap<string, readonly string[]>;

const answerSchema = z.object({ data: z.record(z.string(), z.unknown()) });
const wordsSchema = z.array(z.string());

/**
 * `sys/capabilities-self`: what the policies allow this token, without doing it. Of paths in a namespace below too: policies are written
 * where the token lives. Throws `vault_denied` for a token that may not even ask (it lacks the policy `default`).
 */
export async function capabilitiesOf(
  vault: Vault,
  authNamespace: string,
  fullPaths: readonly string[],
): Promise<Capabilities> {
  const answer = await vault.request({
    method: 'POST',
    path: joinPath(authNamespace, 'sys/capabilities-self'),
    body: { paths: fullPaths.map((path) => within(authNamespace, path)) },
    repeatable: true,
  });
  const { data } = parseAnswer(answerSchema, answer, 'asking for capabilities');
  const wordsAt = (path: string) => wordsSchema.safeParse(data[within(authNamespace, path)]).data ?? [];
  return new Map(fullPaths.map((path) => [path, wordsAt(path)]));
}

/** Whether one capability is among them; `root` has every one. */
export function isAllowed(capabilities: readonly string[] | undefined, capability: string): boolean {
  return capabilities?.some((one) => one === capability || one === 'root') === true;
}
