import { acknowledgedAnswer, healthAnswer } from '../../host/openapi/answers.ts';
import { managedListAnswer } from '../../host/openapi/managed-answers.ts';
import {
  noticesAnswer,
  replayAnswer,
  subscriptionAnswer,
  subscriptionListAnswer,
  subscriptionWithSecretAnswer,
  testAnswer,
} from '../../host/openapi/subscription-answers.ts';
import type { Replay } from '../../notices/replay.ts';
import { createTransport } from '../../vault/transport.ts';
import { allPages } from '../all-pages.ts';
import { type ManagedCalls, type SubscriptionCalls, type System, toldSecretSchema } from '../system.ts';
import { ApiClient } from './api-client.ts';
import type { ApiEnvironment } from './api-environment.ts';

/** A Lambda function may answer 6 MiB. */
const LARGEST_ANSWER_BYTES = 8 * 1024 * 1024;
const PAGE = '200';

/** Runs `work` against the HTTP API of a Leasekeeper, and ends the connections whatever happens. Throws as `ApiClient.ask`. */
export async function withApiSystem<Result>(
  { origin, prefix, ca, proof }: ApiEnvironment,
  work: (system: System) => Promise<Result>,
): Promise<Result> {
  const transport = createTransport({
    address: origin,
    connections: 1,
    connectTimeoutMs: 10_000,
    answerTimeoutMs: 35_000,
    largestAnswerBytes: LARGEST_ANSWER_BYTES,
    ...(ca === undefined ? {} : { ca }),
  });
  try {
    const api = new ApiClient({ transport, prefix, proof });
    return await work({
      address: `${origin}${prefix}`,
      scans: () => api.look('/healthz', healthAnswer),
      managed: managedCalls(api),
      subscriptions: subscriptionCalls(api),
    });
  } finally {
    await transport.close();
  }
}

function managedCalls(api: ApiClient): ManagedCalls {
  const one = (name: string, more = '') => `/v1/managed/${name}${more}`;
  const post = (path: string, query: Readonly<Record<string, string | undefined>> = {}) =>
    api.ask({ method: 'POST', path, query }, toldSecretSchema);
  return {
    list: ({ removed }) =>
      allPages(async (after) => {
        const query = { limit: PAGE, after, removed: String(removed) };
        const page = await api.ask({ method: 'GET', path: '/v1/managed', query }, managedListAnswer);
        return { items: page.managed, next: page.next };
      }),
    show: (name) => api.ask({ method: 'GET', path: one(name) }, toldSecretSchema),
    apply: ({ input, spec }) =>
      api.ask({ method: 'PUT', path: one(spec.name), body: input }, toldSecretSchema),
    rotate: (name, leaked) => post(one(name, '/rotate'), { revoke: leaked ? 'immediately' : undefined }),
    pause: (name) => post(one(name, '/pause')),
    resume: (name) => post(one(name, '/resume')),
    remove: (name, credentials) =>
      api.ask({ method: 'DELETE', path: one(name), query: { credentials } }, toldSecretSchema),
    supply: (name, value) =>
      api.ask({ method: 'PUT', path: one(name, '/value'), body: { value } }, toldSecretSchema),
    acknowledge: async (name, consumer, generation) => {
      const body = { consumer, generation };
      const path = `/v1/secrets/${name}/acks`;
      return (await api.ask({ method: 'POST', path, body }, acknowledgedAnswer)).generation;
    },
  };
}

function subscriptionCalls(api: ApiClient): SubscriptionCalls {
  const all = '/v1/subscriptions';
  const one = (id: string, more = '') => `${all}/${id}${more}`;
  const turn = (id: string, how: 'disable' | 'enable') =>
    api.ask({ method: 'POST', path: one(id, `/${how}`) }, subscriptionAnswer);
  return {
    list: (consumer) =>
      allPages(async (after) => {
        const query = { consumer, after, limit: PAGE };
        const page = await api.ask({ method: 'GET', path: all, query }, subscriptionListAnswer);
        return { items: page.subscriptions, next: page.next };
      }),
    show: (id) => api.ask({ method: 'GET', path: one(id) }, subscriptionAnswer),
    create: (wanted) => api.ask({ method: 'POST', path: all, body: wanted }, subscriptionWithSecretAnswer),
    change: (id, changes) => api.ask({ method: 'PATCH', path: one(id), body: changes }, subscriptionAnswer),
    disable: (id) => turn(id, 'disable'),
    enable: (id) => turn(id, 'enable'),
    delete: (id) => api.send({ method: 'DELETE', path: one(id) }),
    rotateSecret: (id, overlapMs) => {
      const query = { overlap: `${overlapMs}ms` };
      const path = one(id, '/rotate-secret');
      return api.ask({ method: 'POST', path, query }, subscriptionWithSecretAnswer);
    },
    test: async (id) => (await api.ask({ method: 'POST', path: one(id, '/test') }, testAnswer)).dispatch,
    notices: (id, { dispatch, state, since, after, limit }) => {
      const query = { dispatch, state, since: momentOf(since), after, limit: String(limit) };
      return api.ask({ method: 'GET', path: one(id, '/notices'), query }, noticesAnswer);
    },
    replay: (id, what, page) => {
      const body = { ...asWritten(what), ...page };
      return api.ask({ method: 'POST', path: one(id, '/replay'), body }, replayAnswer);
    },
  };
}

function asWritten(what: Replay) {
  return 'since' in what ? { ...what, since: momentOf(what.since) } : what;
}

function momentOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
