import { createServer, type IncomingMessage } from 'node:http';
import { Webhook } from 'standardwebhooks';
import * as z from 'zod';
import { readNotice } from '../../lib/host/local/webhook-receiver.ts';
import { listening } from '../support/listening.ts';

const bodySchema = z.object({ type: z.string(), data: z.record(z.string(), z.unknown()) });

/** One notice whose signature was good. */
export type Notice = z.infer<typeof bodySchema> & { readonly id: string };

/** A consumer's endpoint, as a real one should be: it believes a signature and nothing else. */
export interface NoticeReceiver extends AsyncDisposable {
  readonly url: string;
  /** What it verifies with; the answer that made the subscription holds it. */
  secret: string | undefined;
  /** In the order in which they came. A notice may come more than once. */
  readonly notices: Notice[];
  /** How many were refused. */
  refused(): number;
}

export async function receiveNotices(): Promise<NoticeReceiver> {
  let refused = 0;
  const server = await listening(
    createServer((request, response) => {
      void noticeIn(request, receiver.secret).then((notice) => {
        if (notice === undefined) refused += 1;
        else receiver.notices.push(notice);
        response.writeHead(notice === undefined ? 401 : 204).end();
      });
    }),
  );
  const receiver: NoticeReceiver = {
    url: `http://127.0.0.1:${server.port}/notices`,
    secret: undefined,
    notices: [],
    refused: () => refused,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return receiver;
}

async function noticeIn(request: IncomingMessage, secret: string | undefined): Promise<Notice | undefined> {
  if (secret === undefined) return undefined;
  const { id, body } = await readNotice(new Webhook(secret), request);
  const { success, data } = bodySchema.safeParse(body);
  return success ? { ...data, id } : undefined;
}
