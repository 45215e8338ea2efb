import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { inject } from 'vitest';
import { startOneProcess } from '../../../lib/host/local/one-process.ts';
import { SecretsManager } from '../../../lib/index.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { createSigningSecret } from '../../../lib/notices/signature.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { tokenAuth } from '../../../lib/vault/auth/token.ts';
import { admin } from '../../support/admin.ts';
import { hostOn } from '../../support/host-on.ts';
import { listening } from '../../support/listening.ts';
import { until } from '../../support/until.ts';
import { leaseSpecification, openWorld } from '../../support/world.ts';
import { createAccessWorld, createToken } from '../access/access-world.ts';

/** Where a scraper finds the metrics of a host and of a service, both of which have done real work. */
export interface WorkingHost extends AsyncDisposable {
  readonly host: string;
  readonly service: string;
}

/** A host that scans every second, and a service: leases, rotations, deliveries, refusals, on the real servers. */
export async function startWorkingHost(): Promise<WorkingHost> {
  await using started = new AsyncDisposableStack();
  const described = await createAccessWorld();
  const world = openWorld(described);
  started.defer(() => world.close());
  const delivered: string[] = [];
  const receiver = started.use(
    await listening(
      createServer((request, response) => {
        delivered.push(String(request.headers['webhook-id']));
        // The first is refused once, so that there is a failed delivery too.
        response.writeHead(delivered.length === 1 ? 500 : 204).end();
      }),
    ),
  );
  await new NoticeStore(world.store).saveSubscription(
    {
      id: '_all:everything',
      url: `http://127.0.0.1:${receiver.port}/`,
      types: ['*'],
      names: ['*'],
      secrets: [{ secret: createSigningSecret(randomBytes) }],
    },
    0,
  );
  await world.secrets.apply(leaseSpecification(world, { grace: '1s', deadline: '2s' }));
  const absent = { kind: 'postgres', ...world.postgres, database: 'absent', tls: false } as const;
  await world.secrets.apply(
    leaseSpecification(world, { name: 'failing', publish: 'app/failing', test: absent }),
  );
  await prepareSecrets(world.namespace);

  const types: string[] = [];
  let renewed = 0;
  const host = await startOneProcess({
    ...hostOn(world, { LEASEKEEPER_SCAN_INTERVAL: '1', LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.1' }),
    onEvent: ({ type }) => types.push(type),
    onRenewed: () => {
      renewed += 1;
    },
  });
  started.defer(() => host.close());
  await fetchAsCallers(host.address, world.rootToken, await createToken([described.appPolicy]));

  const manager = new SecretsManager({
    address: world.address,
    namespace: world.namespace,
    auth: tokenAuth(new Secret(await createToken([described.appPolicy]))),
    env: {},
  });
  started.defer(() => manager.cleanup());
  for (let times = 0; times < 3; times += 1) await manager.getSecret('app/static');
  await manager.getDynamicSecret('database/creds/app');
  await manager.getSecret('app/closed').catch(() => {});
  const service = started.use(
    await listening(
      createServer((_request, response) => {
        void manager.metrics().then((text) => response.end(text));
      }),
    ),
  );

  const hasHappened = () =>
    renewed > 0 &&
    ['secret.rotated', 'secret.rotation_failed', 'secret.retired'].every((type) => types.includes(type)) &&
    delivered.length > 2;
  await demandRotation(host.address, world.rootToken, () => types.includes('secret.rotated'));
  await until(hasHappened, 20_000);
  const all = started.move();
  return {
    host: host.address,
    service: `http://127.0.0.1:${service.port}`,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function prepareSecrets(namespace: string): Promise<void> {
  const { request } = admin(inject);
  await request('POST', `${namespace}/app/data/static`, { data: { word: 'plain' } });
  await request('POST', `${namespace}/database/roles/short`, {
    db_name: 'pg',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
    default_ttl: '4s',
    max_ttl: '1h',
  });
}

async function fetchAsCallers(address: string, operator: string, caller: string): Promise<void> {
  const lease = (leased: string) =>
    fetch(`${address}/v1/leases`, {
      method: 'POST',
      headers: { 'x-vault-token': operator, 'content-type': 'application/json' },
      body: JSON.stringify({ path: leased }),
    });
  const read = (secret: string, token: string) =>
    fetch(`${address}/v1/secrets/${secret}`, { headers: { 'x-vault-token': token } });
  const answers = [
    await lease('database/creds/short'),
    await read('app/static', caller),
    await read('app/closed', caller),
    await read('app/static', 'a-token-of-nobody'),
  ];
  const statuses = answers.map(({ status }) => status);
  if (statuses.join() !== '201,200,403,401') throw new Error(`The callers were answered ${statuses.join()}.`);
}

/** A second rotation, which retires the first generation. */
async function demandRotation(address: string, token: string, hasRotated: () => boolean): Promise<void> {
  await until(hasRotated, 20_000);
  const headers = { 'x-vault-token': token };
  await fetch(`${address}/v1/managed/app-database/rotate`, { method: 'POST', headers });
}
