import { createServer, type IncomingMessage } from 'node:http';
import { Webhook } from 'standardwebhooks';
import * as z from 'zod';
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
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
  const header = (name: string) => String(request.headers[name] ?? '');
  const signed = {
    'webhook-id': header('webhook-id'),
    'webhook-timestamp': header('webhook-timestamp'),
    'webhook-signature': header('webhook-signature'),
  };
  try {
    const verified = new Webhook(secret ?? '').verify(body, signed);
    return { ...bodySchema.parse(verified), id: signed['webhook-id'] };
  } catch {
    return undefined;
  }
}
