import type { ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { inject } from 'vitest';
import * as z from 'zod';
import type { Outcome } from '../../../lib/bus/events.ts';
import { main } from '../../../lib/cli/main.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { renderPolicy } from '../../../lib/host/setup/render-policy.ts';
import { workOnDue } from '../../../lib/notices/due.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { openNotify } from '../../../lib/notices/notify.ts';
import { createSender } from '../../../lib/notices/sender.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import { receiveHttp } from '../../notices/receiver.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { openWorld } from '../../support/world.ts';
import { createAccessWorld, createToken } from '../access/access-world.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** The commands as people and services run them, and a worker that sends what they ask for. */
export type SubscribeWorld = Awaited<ReturnType<typeof createSubscribeWorld>>;

export async function createSubscribeWorld() {
  const described = await createAccessWorld();
  const world = openWorld(described);
  const operator = await createToken([described.operatorPolicy], { display_name: 'ada' });
  const sender = createSender({ allow: ['http://127.0.0.1'], timeoutMs: 5_000 });
  const open = () =>
    openNotify({
      notices: new NoticeStore(world.store),
      book: world.deliveries,
      bus: { publish: async (events) => new Set(events.map(({ id }) => id)) },
      sender,
      metrics: noMetrics,
      now: world.now,
      random: Math.random,
      sleep: (ms) => sleep(ms),
      onError: () => {},
    });
  const worker = open();
  const running = { paused: false, closed: false };
  const loop = (async () => {
    while (!running.closed) {
      // In place of scans, at a shorter interval.
      if (!running.paused) await workOnDue(worker, { shard: 0 });
      await sleep(50);
    }
  })();

  const runAs = async (
    token: string,
    args: readonly string[],
    more: Record<string, string> = {},
  ): Promise<Ran> => {
    const out: string[] = [];
    const error: string[] = [];
    const code = await main(['subscribe', ...args], {
      environment: {
        VAULT_ADDR: world.address,
        VAULT_TOKEN: token,
        VAULT_NAMESPACE: world.namespace,
        LEASEKEEPER_STATE_MOUNT: world.stateMount,
        LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.1',
        ...more,
      },
      out: (line) => out.push(line),
      error: (line) => error.push(line),
    });
    return { code, out: out.join('\n'), error: error.join('\n') };
  };

  return {
    world,
    notices: worker.notices,
    /** By a worker that knows of no subscription yet. Returns when the first attempts have ended. */
    record: async (event: Outcome) => {
      const { delivered } = await open().recorder.record(event);
      await delivered;
    },
    /** Nothing is sent while it is paused. */
    running,
    runAs,
    run: (...args: string[]) => runAs(operator, args),
    consumerToken: (consumer: string) => consumerToken(world.namespace, world.stateMount, consumer),
    close: async () => {
      running.closed = true;
      await loop;
      await sender.close();
      await world.close();
    },
  };
}

async function consumerToken(namespace: string, state: string, consumer: string): Promise<string> {
  const templates = await readPolicyTemplates();
  const policy = renderPolicy(templates['leasekeeper-consumer'], { namespace, state, consumer });
  const name = uniqueName('policy');
  await admin(inject).request('PUT', `sys/policies/acl/${name}`, { policy });
  return createToken([name]);
}

const bodySchema = z.object({ type: z.string(), data: z.unknown() });

/** An endpoint that verifies what it gets with the official package, by one of the secrets it knows. */
export async function receive(
  answer: (response: ServerResponse) => void = (response) => response.writeHead(204).end(),
) {
  const secrets: string[] = [];
  const received: { readonly id: string; readonly type: string }[] = [];
  const { port } = await receiveHttp((incoming, response) => {
    void text(incoming).then((body) => {
      const headers = Object.fromEntries(
        Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]),
      );
      if (!secrets.some((secret) => verifies(secret, body, headers))) return response.writeHead(401).end();
      received.push({ id: headers['webhook-id'] ?? '', type: bodySchema.parse(JSON.parse(body)).type });
      answer(response);
    });
  });
  return { url: `http://127.0.0.1:${port}/hooks`, received, secrets };
}

function verifies(secret: string, body: string, headers: Record<string, string>): boolean {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}
