import * as z from 'zod';
import { parseAnswer, type Vault } from './client.ts';
import { askOfSelf } from './tokens.ts';

/** What a token may know of itself, beyond what keeping it needs. Times in seconds. */
export interface TokenDetails {
  /** Of the token and of its entity, each once. */
  readonly policies: readonly string[];
  readonly ttlSeconds: number;
  /** Granted when it was made. */
  readonly creationTtlSeconds: number;
  /** Its end whatever is renewed; 0: none of its own. */
  readonly explicitMaxTtlSeconds: number;
  /** It can be renewed for ever, for so long each time; 0: none. */
  readonly periodSeconds: number;
  readonly renewable: boolean;
  /** How often it may still be used; 0: as often as one likes. */
  readonly usesLeft: number;
  readonly isBatch: boolean;
  /** A token without an end, such as a root token. */
  readonly endless: boolean;
}

const seconds = z.number().nullish();
const answerSchema = z.object({
  data: z.object({
    policies: z.array(z.string()).nullish(),
    identity_policies: z.array(z.string()).nullish(),
    ttl: z.number(),
    creation_ttl: seconds,
    explicit_max_ttl: seconds,
    period: z.union([z.number(), z.string().transform(Number)]).nullish(),
    renewable: z.boolean().default(false),
    num_uses: seconds,
    type: z.string().default('service'),
    expire_time: z.string().nullish(),
  }),
});

/** `auth/token/lookup-self` in full. Throws `vault_denied` for a token that is gone, or may not ask (it lacks the policy `default`). */
export async function readTokenDetails(vault: Vault, authNamespace: string): Promise<TokenDetails> {
  const answer = await askOfSelf(vault, authNamespace);
  const { data } = parseAnswer(answerSchema, answer, 'looking up our own token');
  return {
    policies: [...new Set([...(data.policies ?? []), ...(data.identity_policies ?? [])])],
    ttlSeconds: data.ttl,
    creationTtlSeconds: data.creation_ttl ?? 0,
    explicitMaxTtlSeconds: data.explicit_max_ttl ?? 0,
    periodSeconds: data.period ?? 0,
    renewable: data.renewable,
    usesLeft: data.num_uses ?? 0,
    isBatch: data.type === 'batch',
    endless: data.expire_time == null && data.ttl === 0,
  };
}
