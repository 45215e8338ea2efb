import type { RequestListener } from 'node:http';
import { inspect } from 'node:util';
import { onTestFinished } from 'vitest';
import { declaredRequestSchema } from '../../../../lib/rotation/rotators/http/declared-request.ts';
import { type FilledRequest, fillRequest } from '../../../../lib/rotation/rotators/http/fill-request.ts';
import { HttpRequestError } from '../../../../lib/rotation/rotators/http/http-request-error.ts';
import {
  createHttpSender,
  type HttpSenderOptions,
} from '../../../../lib/rotation/rotators/http/send-request.ts';
import { Secret } from '../../../../lib/telemetry/secret.ts';
import { receiveHttp } from '../../../notices/receiver.ts';

/** Stands in every part of a request that no error may show. */
export const HUSH = 'hush-hush';

/** A request with a secret wherever one can be, and other words that are to stay out of errors. */
export function requestTo(base: string, more: Record<string, unknown> = {}): FilledRequest {
  const declared = declaredRequestSchema.parse({
    method: 'POST',
    url: `${base}/${HUSH}/{{key_id}}?q=${HUSH}`,
    headers: { authorization: 'Bearer {{auth.token}}' },
    body: { json: { key: '{{key}}' } },
    insecure_http: true,
    ...more,
  });
  return fillRequest(declared, { key_id: HUSH, 'auth.token': new Secret(HUSH), key: new Secret(HUSH) });
}

/** A sender until the test ends. */
export function sender(options: HttpSenderOptions = {}) {
  const one = createHttpSender(options);
  onTestFinished(() => one.close());
  return one;
}

/** The address of a server that answers so. */
export async function answering(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${(await receiveHttp(listener)).port}`;
}

/** The error that sending ends in. Nothing of the request or the answer may be in it, however it is printed. */
export async function failureOf(
  request: FilledRequest,
  options: HttpSenderOptions = {},
): Promise<HttpRequestError> {
  const error = await sender(options)
    .send(request)
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  if (!(error instanceof HttpRequestError)) throw new Error(`It ended otherwise: ${inspect(error)}`);
  const printed = inspect(error, { depth: 9, showHidden: true }) + JSON.stringify(error);
  if (printed.includes(HUSH)) throw new Error('The error shows what it must not.');
  return error;
}
