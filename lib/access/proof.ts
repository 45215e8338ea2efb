import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { Secret } from '../telemetry/secret.ts';

/** What a caller shows to say who it is. */
export type CallerProof =
  /**
   * A JWT, and the Vault role to log in to with it. `mount`: where; the first of those that are allowed when it is left out. Vault's
   * kubernetes and jwt methods take the same (Vault's HTTP API, "Kubernetes auth method" and "JWT/OIDC auth method", "Login").
   */
  | { readonly kind: 'jwt'; readonly jwt: Secret; readonly role: string; readonly mount?: string }
  | { readonly kind: 'token'; readonly token: Secret };

/** Stands for a proof in maps. Two proofs that differ in anything, be it where they are shown, never share one. */
export function keyOf(proof: CallerProof): string {
  const parts =
    proof.kind === 'token'
      ? ['token', proof.token.expose()]
      : ['jwt', proof.mount ?? '', proof.role, proof.jwt.expose()];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64');
}

const claimsSchema = z.object({ exp: z.number() });

/**
 * When a JWT ends by its own word (`exp`, RFC 7519, 4.1.4), in milliseconds since the epoch; undefined when it does not say, or is none.
 * Its signature is not checked: only Vault can, and whoever forges an end is refused there.
 */
export function endOf(jwt: Secret): number | undefined {
  const payload = jwt.expose().split('.')[1];
  if (payload === undefined) return undefined;
  try {
    const claims = claimsSchema.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString()));
    return claims.success ? claims.data.exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
