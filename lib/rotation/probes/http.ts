import { Pool } from 'undici';
import { type HttpProbe, headerOf } from './http-schema.ts';
import { encoderFor, filled, isHeaderValue } from './http-template.ts';
import type { ProbeFailure, ProbeResult } from './probe-result.ts';
import { loginOf, type Value } from './value-fields.ts';

/** What is left of an answer once its status is known is read up to this, so that the server sees an orderly end. Bytes. */
const LARGEST_ANSWER_BYTES = 64 * 1024;

interface Filled {
  readonly ok: true;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** Sends the request with the value in its place, and judges the value by the status alone. */
export async function testHttpRequest(probe: HttpProbe, value: Value): Promise<ProbeResult> {
  const request = filledRequest(probe, value);
  if (!request.ok) return request;
  try {
    return judged(probe, await statusOf(probe, request));
  } catch {
    // The client's messages may quote what was sent and are left out.
    return { ok: false, code: 'test_failed', refused: false };
  }
}

/** Expected statuses come first: where 403 means a key that may do little, it can be named in `expect_status`. */
export function judged({ expect_status }: Pick<HttpProbe, 'expect_status'>, status: number): ProbeResult {
  const expected = expect_status?.includes(status) ?? (status >= 200 && status <= 299);
  if (expected) return { ok: true };
  if (status === 401 || status === 403) return { ok: false, code: 'test_refused', refused: true };
  return { ok: false, code: 'test_unexpected_status', refused: false };
}

/**
 * The headers and the body with the value's fields. `test_value_incomplete`: a field is missing or empty. `test_value_unusable`: one
 * cannot be sent, cannot stand in a header, or, with `basic_auth`, the user's name has a colon (RFC 7617, section 2).
 */
export function filledRequest(probe: HttpProbe, value: Value): Filled | ProbeFailure {
  const headers: Record<string, string> = {};
  for (const [name, template] of Object.entries(probe.headers)) {
    const text = filled(template, value);
    if (typeof text !== 'string') return text;
    if (!isHeaderValue(text)) return { ok: false, code: 'test_value_unusable', refused: false };
    headers[name] = text;
  }
  if (probe.basic_auth !== undefined) {
    const login = loginOf(value, probe.basic_auth);
    if (!login.ok) return login;
    const { username, password } = login;
    if (username.includes(':')) return { ok: false, code: 'test_value_unusable', refused: false };
    headers.authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }
  if (probe.body === undefined) return { ok: true, headers, body: undefined };
  const body = filled(probe.body, value, encoderFor(headerOf(headers, 'content-type') ?? ''));
  return typeof body === 'string' ? { ok: true, headers, body } : body;
}

/** One request on a connection of its own. The deadline holds from the look-up of the name to the status. */
async function statusOf({ url, method, ca, timeout }: HttpProbe, { headers, body }: Filled): Promise<number> {
  const { origin, pathname, search } = new URL(url);
  const pool = new Pool(origin, {
    connections: 1,
    allowH2: false,
    connect: { timeout, ...(ca !== undefined && { ca }) },
  });
  const signal = AbortSignal.timeout(timeout);
  try {
    const answer = await pool.request({
      path: pathname + search,
      method,
      headers,
      body: body ?? null,
      signal,
    });
    // Whatever becomes of the rest, the status has been given.
    await answer.body.dump({ limit: LARGEST_ANSWER_BYTES, signal }).catch(() => {});
    return answer.statusCode;
  } finally {
    // Not waited for: with the connection still being made it would take until that fails too.
    void pool.destroy().catch(() => {});
  }
}
