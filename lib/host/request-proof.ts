import { RequestError } from '../access/problem.ts';
import type { CallerProof } from '../access/proof.ts';
import { Secret } from '../telemetry/secret.ts';
import type { HttpRequest } from './http-function.ts';

/**
 * Who asks: `Authorization: Bearer <JWT>` with `X-Vault-Role`, and `X-Vault-Auth-Mount` for a mount other than the first; or
 * `X-Vault-Token`. Throws RequestError `caller_missing` (401) or `role_missing` (400).
 */
export function proofIn({ headers }: Pick<HttpRequest, 'headers'>): CallerProof {
  const token = headers['x-vault-token'];
  if (token !== undefined && token !== '') return { kind: 'token', token: new Secret(token) };
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  if (bearer === undefined) {
    throw new RequestError(
      401,
      'caller_missing',
      'The request does not say who asks.',
      'Send a service account token as `Authorization: Bearer …` with `X-Vault-Role`, or a Vault token as `X-Vault-Token`.',
    );
  }
  const role = headers['x-vault-role'];
  if (role === undefined || !/^[\w.-]{1,128}$/.test(role)) {
    throw new RequestError(
      400,
      'role_missing',
      'The request names no Vault role to log in to.',
      'Send it as `X-Vault-Role`.',
    );
  }
  const mount = headers['x-vault-auth-mount']?.trim();
  return { kind: 'jwt', jwt: new Secret(bearer), role, ...(mount ? { mount } : {}) };
}
