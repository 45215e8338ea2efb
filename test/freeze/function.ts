/**
 * A Lambda-like process for tests of freezing: each line of standard input is an invocation, each line of standard output its answer. What
 * goes to Vault is told on standard error, with the time. The credential leaves it only because the test logs in with it.
 */
import { createInterface } from 'node:readline';
import middy from '@middy/core';
import * as z from 'zod';
import { localContext } from '../../lib/host/local/lambda-invocation.ts';
import { appRoleAuth, Secret } from '../../lib/index.ts';
import { secrets } from '../../lib/secrets-manager/middleware.ts';
import { createTransport } from '../../lib/vault/transport.ts';

const settingsSchema = z.object({
  address: z.string(),
  namespace: z.string(),
  roleId: z.string(),
  secretId: z.string(),
  mount: z.string(),
});
export type FrozenSettings = z.infer<typeof settingsSchema>;

const { address, namespace, roleId, secretId, mount } = settingsSchema.parse(
  JSON.parse(process.argv[2] ?? ''),
);
const real = createTransport({ address });

const handler = middy<unknown, unknown>()
  .use(
    secrets({
      address,
      namespace,
      env: {},
      auth: appRoleAuth({ roleId, secretId: new Secret(secretId), mount }),
      cacheTtlMs: 2_000,
      overlapMs: 500,
      transport: {
        exchange: (request) => {
          process.stderr.write(`${JSON.stringify({ at: Date.now(), path: request.path })}\n`);
          return real.exchange(request);
        },
        close: () => real.close(),
      },
      fetchData: {
        database: { path: 'database/creds/app', dynamic: true },
        key: { path: 'nvidia/api-key', field: 'key' },
      },
    }),
  )
  .handler(async (_event, { database, key }) => ({
    leaseId: database.leaseId,
    username: database.data.get('username'),
    password: database.data.get('password'),
    key: key.expose(),
    printed: JSON.stringify({ database, key }),
  }));

for await (const _line of createInterface({ input: process.stdin })) {
  // As Lambda calls it: with a context in which nothing stands yet.
  const answer: unknown = await Reflect.apply(handler, undefined, [{}, localContext('function')]);
  process.stdout.write(`${JSON.stringify({ ...Object(answer), answeredAt: Date.now() })}\n`);
}
