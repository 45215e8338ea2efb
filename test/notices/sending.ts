import type { LookupAddress } from 'node:dns';
import { afterEach, expect } from 'vitest';
import {
  createSender,
  type NoticeRequest,
  type Sender,
  type SenderOptions,
} from '../../lib/notices/sender.ts';

const senders: Sender[] = [];

/** A sender that may speak http with this machine, unless told otherwise. */
export function sender(options: SenderOptions = {}): Sender {
  const created = createSender({ allow: ['http://127.0.0.1'], timeoutMs: 5_000, ...options });
  senders.push(created);
  return created;
}

afterEach(async () => {
  await Promise.all(senders.splice(0).map((created) => created.close()));
});

export function notice(url: string, more: Partial<NoticeRequest> = {}): NoticeRequest {
  return {
    url,
    headers: { 'content-type': 'application/json', 'webhook-id': 'evt_1' },
    body: '{"a":1}',
    ...more,
  };
}

export const local = (port: number, path = '/') => `http://127.0.0.1:${port}${path}`;
export const failure = (reason: string) => expect.objectContaining({ code: 'delivery_failed', reason });
export const refusal = (reason: string) =>
  expect.objectContaining({
    code: 'delivery_failed',
    reason: 'address',
    cause: expect.objectContaining({ code: 'endpoint_refused', reason }),
  });

/** A resolver that gives the next answer of a list each time, the last one for ever. */
export function resolver(...answers: LookupAddress[][]) {
  let asked = 0;
  return async (): Promise<LookupAddress[]> => {
    const answer = answers[Math.min(asked, answers.length - 1)] ?? [];
    asked += 1;
    return answer;
  };
}

export const loopback: LookupAddress = { address: '127.0.0.1', family: 4 };
