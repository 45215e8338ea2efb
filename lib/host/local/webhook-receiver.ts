import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import * as z from 'zod';

/** One notice as it arrived. */
export interface ReceivedNotice {
  readonly id: string;
  readonly type: string;
  /** Whether the official library accepted its signature. */
  readonly verified: boolean;
}

export interface WebhookReceiver {
  readonly url: string;
  stop(): Promise<void>;
}

const bodySchema = z.object({ type: z.string() });

/** A consumer's endpoint for notices: verifies each signature with the official Standard Webhooks library, as a real one should. */
export async function startWebhookReceiver(
  signingSecret: string,
  onNotice: (notice: ReceivedNotice) => void,
): Promise<WebhookReceiver> {
  const webhook = new Webhook(signingSecret);
  const server = createServer((request, response) => {
    void receive(webhook, request).then((notice) => {
      onNotice(notice);
      response.writeHead(notice.verified ? 204 : 401).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return {
    url: `http://127.0.0.1:${port}/notices`,
    stop: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function receive(webhook: Webhook, request: IncomingMessage): Promise<ReceivedNotice> {
  const { id, body } = await readNotice(webhook, request);
  const { success, data } = bodySchema.safeParse(body);
  // Forged or damaged: the answer says so, and the count of unverified notices shows it.
  return success ? { id, type: data.type, verified: true } : { id, type: 'unverified', verified: false };
}

/** Takes a notice in whole; `body` is undefined unless the official library accepts its signature. */
export async function readNotice(
  webhook: Webhook,
  request: IncomingMessage,
): Promise<{ readonly id: string; readonly body: unknown }> {
  const written = await text(request);
  const header = (name: string) => String(request.headers[name] ?? '');
  const signed = {
    'webhook-id': header('webhook-id'),
    'webhook-timestamp': header('webhook-timestamp'),
    'webhook-signature': header('webhook-signature'),
  };
  const id = signed['webhook-id'];
  try {
    return { id, body: webhook.verify(written, signed) };
  } catch {
    return { id, body: undefined };
  }
}
