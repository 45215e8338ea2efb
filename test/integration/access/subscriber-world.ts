import { randomUUID } from 'node:crypto';
import { expect, inject } from 'vitest';
import * as z from 'zod';
import { planManaged } from '../../../lib/host/setup/plan-managed.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { type Subscription, subscriptionSchema } from '../../../lib/notices/subscription.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { openWorld } from '../../support/world.ts';
import {
  type AccessWorld,
  type Answered,
  type Asked,
  createAccessWorld,
  createToken,
  type Functions,
} from './access-world.ts';

/** Two services under the very policies that setup writes for consumers, and an operator. */
export interface SubscriberWorld extends AccessWorld {
  readonly tokens: Readonly<Record<'anna' | 'bert' | 'operator', string>>;
}

/** Each is named by one managed secret: `annas-database`, `berts-database`. */
export async function createSubscriberWorld(): Promise<SubscriberWorld> {
  const world = await createAccessWorld();
  const [anna, bert] = await Promise.all(['anna', 'bert'].map((consumer) => consumerToken(world, consumer)));
  if (anna === undefined || bert === undefined) throw new Error('no tokens');
  return { ...world, tokens: { anna, bert, operator: await createToken([world.operatorPolicy]) } };
}

async function consumerToken(world: AccessWorld, consumer: string): Promise<string> {
  const bare = { rights: [] };
  const steps = planManaged(
    {
      namespace: world.namespace,
      authNamespace: '',
      layout: 'prefix',
      state: world.stateMount,
      maxVersions: 2,
      shards: { leases: 1, rotations: 1, deliveries: 1 },
      tokenTtlSeconds: 3_600,
      managed: [
        { ...bare, name: 'annas-database', consumers: ['anna'] },
        { ...bare, name: 'berts-database', consumers: ['bert'] },
      ],
      templates: await readPolicyTemplates(),
    },
    [],
  );
  const policy = steps.find(({ title }) => title.includes(`leasekeeper-consumer-${consumer},`))?.write.body
    .policy;
  if (typeof policy !== 'string') throw new Error('no policy');
  // The servers are shared: under its own name it would be that of every other test.
  const name = uniqueName('consumer');
  await admin(inject).request('PUT', `sys/policies/acl/${name}`, { policy });
  return createToken([name]);
}

export type Who = keyof SubscriberWorld['tokens'];

const shownSchema = z.looseObject({
  id: z.string(),
  secrets: z.array(z.object({ until: z.string().optional() })),
});
export const createdSchema = shownSchema.extend({ secret: z.string() });
const pageSchema = z.object({
  subscriptions: z.array(z.looseObject({ id: z.string() })),
  next: z.string().optional(),
});

/** An endpoint that nothing else has. */
export const endpoint = () => `https://hooks.example.com/${randomUUID()}`;

/** Asks over HTTP as one of them. */
export function subscribersOf(world: SubscriberWorld, functions: Functions) {
  /** The path goes on after `/v1/subscriptions`. */
  const ask = (who: Who, method: string, path: string, asked: Asked = {}): Promise<Answered> =>
    functions.manage(method, `/v1/subscriptions${path}`, {
      ...asked,
      headers: { 'x-vault-token': world.tokens[who], ...asked.headers },
    });
  /** Their own. */
  const create = async (who: Who, body: Readonly<Record<string, unknown>> = {}) => {
    const owner = who === 'operator' ? {} : { consumer: who };
    const answer = await ask(who, 'POST', '', { body: { ...owner, url: endpoint(), ...body } });
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    return createdSchema.parse(answer.body);
  };
  const listed = async (who: Who, query: Readonly<Record<string, string>> = {}) => {
    const answer = await ask(who, 'GET', '', { query });
    expect(answer.status).toBe(200);
    return pageSchema.parse(answer.body);
  };
  return { ask, create, listed };
}

/** A subscription as Vault has it, secrets and all; undefined: it is not there. */
export async function stored(
  world: AccessWorld,
  id: string,
): Promise<{ readonly version: number; readonly data: Subscription } | undefined> {
  const opened = openWorld(world);
  try {
    const { entry, version } = await opened.store.read(`subscriptions/${id.replace(':', '/')}`);
    return entry === undefined ? undefined : { version, data: subscriptionSchema.parse(entry.data) };
  } finally {
    await opened.close();
  }
}
