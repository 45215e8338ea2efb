import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { type SampleOptions, setUpSample } from '../../../lib/host/local/sample-setup.ts';
import { startTokenReview, type TokenReviewServer } from '../../../lib/host/local/token-review.ts';
import { issueFunctionCredentials } from '../../../lib/host/setup/function-credentials.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { writeAcknowledgement } from '../../../lib/vault/acknowledgements.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { appRoleAuth } from '../../../lib/vault/auth/approle.ts';
import { kubernetesAuth } from '../../../lib/vault/auth/kubernetes.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { Leases } from '../../../lib/vault/leases.ts';
import { Mounts } from '../../../lib/vault/mounts.ts';
import { issueDynamic, readStatic } from '../../../lib/vault/secrets.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { withPostgres } from '../../support/postgres.ts';

describe('the local sample', () => {
  const root = uniqueName('root');
  const namespace = `${root}/lotabots`;
  const writes: string[] = [];
  let client: VaultClient;
  let dataDir: string;
  let reviews: TokenReviewServer;
  let options: SampleOptions;

  beforeAll(async () => {
    const { request, address, rootToken } = admin(inject);
    dataDir = await mkdtemp(path.join(tmpdir(), 'leasekeeper-sample-'));
    reviews = await startTokenReview({ dataDir });
    client = new VaultClient({
      transport: createTransport({ address }),
      onExchange: ({ method, path: where }) => {
        if (method !== 'GET' && method !== 'LIST') writes.push(`${method} ${where}`);
      },
    });
    await request('POST', `sys/namespaces/${root}`, {});
    const postgres = inject('postgres');
    options = {
      client,
      rootToken: new Secret(rootToken),
      postgres: { ...postgres, password: new Secret(postgres.password) },
      tokenReviewUrl: reviews.url,
      namespace,
      authNamespace: root,
      databaseTtlSeconds: 45,
    };
  });
  afterAll(async () => {
    await reviews.stop();
    await client.close();
    await rm(dataDir, { recursive: true });
  });

  async function consumer(name: string) {
    const jwt = await reviews.sign({ namespace: 'lotabots', name });
    const method = kubernetesAuth({ role: name, jwt: async () => jwt.expose(), authNamespace: root });
    return actingWith(client, new Secret((await method.login(client)).token));
  }

  it('is made once and found by every later start, which writes nothing', async () => {
    const first = await setUpSample(options);
    expect(new Set(first.steps.map(({ outcome }) => outcome))).toEqual(new Set(['made']));
    expect(first.applied).toEqual(['api-gateway-database', 'model-credentials']);
    writes.length = 0;
    const second = await setUpSample(options);
    expect(new Set(second.steps.map(({ outcome }) => outcome))).toEqual(new Set(['there']));
    expect(second.applied).toEqual([]);
    expect(writes).toEqual([]);
  });

  it('follows a server that came back at another address', async () => {
    const moved = { ...options, tokenReviewUrl: 'http://127.0.0.1:1' };
    const { steps } = await setUpSample(moved);
    expect(steps.filter(({ outcome }) => outcome === 'updated').map(({ title }) => title)).toEqual([
      'configuration of Kubernetes auth',
    ]);
    await setUpSample(options);
  });

  it.each(['inference-service', 'api-gateway'])(
    'has the policy of %s as its file says it, word for word',
    async (name) => {
      const schema = z.object({ data: z.object({ policy: z.string() }) });
      const { data } = await admin(inject).read(schema, 'GET', `${root}/sys/policies/acl/${name}`);
      expect(data.policy).toBe(
        await readFile(path.resolve(import.meta.dirname, `../../../vault/policies/${name}.hcl`), 'utf8'),
      );
    },
  );

  it('lets inference-service read nvidia/api-key and no database credential', async () => {
    const vault = await consumer('inference-service');
    const mounts = new Mounts(vault, root);
    const { data } = await readStatic(vault, mounts, `${namespace}/nvidia/api-key`);
    expect(data.api_key).toMatch(/^nvapi-.{40,}$/);
    await expect(issueDynamic(vault, `${namespace}/database/creds/api-gateway`)).rejects.toMatchObject({
      code: 'vault_denied',
    });
  });

  it('lets api-gateway have a database credential that works, and whose revocation ends its sessions and what it owns', async () => {
    const vault = await consumer('api-gateway');
    const issued = await issueDynamic(vault, `${namespace}/database/creds/api-gateway`);
    expect(issued.leaseDurationSeconds).toBe(45);
    const login = z.object({ username: z.string(), password: z.string() }).parse(issued.data);
    const as = { user: login.username, password: login.password };
    let owned: number | undefined;
    const ended = withPostgres(
      inject,
      async (connection) => {
        // What it owns makes the plain `DROP ROLE` fail, and its open session would go on.
        const made = await connection.query<{ oid: number }>('SELECT lo_create(0) AS oid');
        owned = made.rows[0]?.oid;
        await new Leases(actingWith(client, options.rootToken), root).revoke(issued.leaseId);
        await connection.query('SELECT 1');
      },
      as,
    );
    await expect(ended).rejects.toThrow(/terminat|connection/);
    await expect(withPostgres(inject, (again) => again.query('SELECT 1'), as)).rejects.toThrow();
    const { rowCount } = await withPostgres(inject, (connection) =>
      connection.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [login.username]),
    );
    expect(rowCount).toBe(0);
    // Handed over, not dropped with the role.
    const unlinked = withPostgres(inject, (connection) => connection.query('SELECT lo_unlink($1)', [owned]));
    await expect(unlinked).resolves.toBeDefined();
    await expect(
      readStatic(vault, new Mounts(vault, root), `${namespace}/nvidia/api-key`),
    ).rejects.toMatchObject({ code: 'vault_denied' });
  });

  it('lets a consumer acknowledge in its own name', async () => {
    const store = new KvStore(await consumer('api-gateway'), `${root}/leasekeeper`);
    const acknowledge = (name: string) => writeAcknowledgement(store, 'api-gateway-database', name, 1);
    expect(await acknowledge('api-gateway')).toEqual({ generation: 1, isNew: true });
    await expect(acknowledge('inference-service')).rejects.toMatchObject({ code: 'vault_denied' });
  });

  it('has an identity for each function, with its policy alone', async () => {
    const vault = actingWith(client, options.rootToken);
    const credentials = await issueFunctionCredentials(vault, {
      authNamespace: root,
      mount: 'approle',
      name: 'scan',
    });
    const { token } = await appRoleAuth({ ...credentials, authNamespace: root }).login(client);
    const schema = z.object({ data: z.object({ policies: z.array(z.string()) }) });
    const answer = await actingWith(client, new Secret(token)).request({
      method: 'GET',
      path: `${root}/auth/token/lookup-self`,
      repeatable: true,
    });
    expect(schema.parse(answer.body).data.policies).toEqual(['leasekeeper-scan']);
  });
});
