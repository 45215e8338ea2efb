import { Secret } from '../../../telemetry/secret.ts';
import type { CreateRequest, ListRequest, RevokeRequest } from './api-key-requests.ts';
import { fieldAt, listAt, textAt, timeAt } from './field-path.ts';
import { isHttpRequestError } from './http-request-error.ts';

export interface CreatedKey {
  readonly key: Secret;
  readonly keyId: string;
}

/** The key that an answer to `create` holds. Throws `http_answer_invalid`: then there may well be one all the same. */
export function createdKey(create: CreateRequest, body: unknown): CreatedKey {
  return { key: new Secret(textAt(body, create.key)), keyId: textAt(body, create.key_id) };
}

export interface ListedKey {
  readonly keyId: string;
  readonly name: string;
  /** Milliseconds since 1970; undefined when it was not told, which does not mean never. */
  readonly lastUsedAt: number | undefined;
}

/** The keys in an answer to `list` that have a name. Throws `http_answer_invalid`. */
export function listedKeys(list: ListRequest, body: unknown): readonly ListedKey[] {
  return listAt(body, list.items).flatMap((item) => {
    const name = fieldAt(item, list.key_name);
    if (typeof name !== 'string' || name === '') return [];
    const lastUsedAt = list.last_used === undefined ? undefined : timeAt(item, list.last_used);
    return [{ keyId: textAt(item, list.key_id), name, lastUsedAt }];
  });
}

/** Whether revoking failed only because there is no such key. */
export function isGone(revoke: RevokeRequest, error: unknown): boolean {
  return isHttpRequestError(error) && error.status !== undefined && revoke.gone_status.includes(error.status);
}
