import { RequestError } from '../access/problem.ts';
import type { ManagedSecret } from '../rotation/managed-secrets.ts';
import { suppliedDocumentSchema } from '../rotation/rotators/supplied-value.ts';
import type { KvStore } from '../vault/kv-store.ts';
import type { HttpAnswer, HttpRequest } from './http-function.ts';
import { bodyOf } from './json-body.ts';
import {
  applySpecification,
  createOnly,
  type Operator,
  pause,
  remove,
  resume,
  rotateNow,
  supply,
} from './managed-operations.ts';
import { summaryOf } from './managed-summary.ts';
import { queryOf } from './query.ts';
import { removeQuery, rotateQuery } from './route-inputs.ts';
import { specificationIn } from './specification-body.ts';

/** Whoever asks for a change, and what of. */
export interface ChangeRequest {
  readonly operator: Operator;
  /** The state mount, as the operator. */
  readonly store: KvStore;
  readonly name: string;
  readonly request: HttpRequest;
}

/** The routes of `manage` that change a managed secret: a worker is to be sent after each. All answer with its summary. */

export async function apply({ operator, name, request }: ChangeRequest): Promise<HttpAnswer> {
  const written = await specificationIn(request, name);
  const creates = request.headers['if-none-match']?.trim() === '*';
  const secret = await (creates ? createOnly(operator, written) : applySpecification(operator, written));
  return answer(secret.version === 1 ? 201 : 200, secret);
}

export async function rotate({ operator, name, request }: ChangeRequest): Promise<HttpAnswer> {
  const leaked = queryOf(rotateQuery, request).revoke !== undefined;
  return answer(202, await rotateNow(operator, name, leaked));
}

export async function pauseNow({ operator, name }: ChangeRequest): Promise<HttpAnswer> {
  return answer(200, await pause(operator, name));
}

export async function resumeNow({ operator, name }: ChangeRequest): Promise<HttpAnswer> {
  return answer(200, await resume(operator, name));
}

export async function removeNow({ operator, name, request }: ChangeRequest): Promise<HttpAnswer> {
  if (request.query.credentials === undefined) throw credentialsMissing();
  const { credentials } = queryOf(removeQuery, request);
  return answer(202, await remove(operator, name, credentials));
}

export async function supplyValue({ operator, store, name, request }: ChangeRequest): Promise<HttpAnswer> {
  const { value } = bodyOf(suppliedDocumentSchema, request);
  return answer(202, await supply(operator, store, name, value));
}

function answer(status: number, secret: ManagedSecret): HttpAnswer {
  return { status, body: summaryOf(secret) };
}

function credentialsMissing(): RequestError {
  return new RequestError(
    400,
    'credentials_parameter_missing',
    'The request does not say what becomes of the credentials.',
    'Send ?credentials=revoke to have the current generation revoked once its grace is over, or ?credentials=keep to have all of them forgotten: they then work until they end by themselves, and nobody revokes them.',
  );
}
