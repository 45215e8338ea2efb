import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { admin } from '../../support/admin.ts';
import {
  AWS_FUNCTION,
  AWS_FUNCTION_ENVIRONMENT,
  type AwsStoreServer,
  startAwsStore,
} from '../../support/aws-store-server.ts';
import { SCHEDULED_EVENT } from '../../support/lambda/event-documents.ts';
import { findRuntimeClient, type RuntimeClient } from '../../support/lambda/runtime-client.ts';
import { type StsServer, startSts } from '../../support/sts-server.ts';
import { createLambdaWorld, type LambdaWorld } from './lambda-world.ts';

/** A role of the same account that Vault does not know. */
const OTHER = { ...AWS_FUNCTION, accessKeyId: 'ASIAOTHER', arn: `${AWS_FUNCTION.arn}-of-another` };
/** Where Lambda's environment says that a function is. */
const REGION = 'eu-central-1';
const { request } = admin(inject);

let client: RuntimeClient;
let world: LambdaWorld;
let store: AwsStoreServer;
let sts: StsServer;

beforeAll(async () => {
  client = await findRuntimeClient(process.env);
  [world, store, sts] = await Promise.all([
    createLambdaWorld(),
    startAwsStore(REGION),
    startSts(REGION, [AWS_FUNCTION, OTHER]),
  ]);
  await request('POST', `${world.root}/sys/auth/jwt`, { type: 'jwt' });
  await request('POST', `${world.root}/auth/jwt/config`, { jwt_validation_pubkeys: sts.publicKeys });
  await request('POST', `${world.root}/auth/jwt/role/leasekeeper-scan`, {
    role_type: 'jwt',
    user_claim: 'sub',
    bound_audiences: ['https://vault.example.com'],
    bound_subject: AWS_FUNCTION.arn,
    token_policies: ['leasekeeper-scan'],
    token_no_default_policy: true,
  });
}, 300_000);
afterAll(() => Promise.all([world, store, sts].map((server) => server?.[Symbol.asyncDispose]())));
let asked = 0;
beforeEach(() => {
  asked = world.vault.exchanges.length;
});

/** What was asked of Vault in this test. */
const exchanges = () => world.vault.exchanges.slice(asked);
const logins = (mount: string) =>
  exchanges()
    .filter(({ path }) => path.endsWith(`/auth/${mount}/login`))
    .map(({ status }) => status);

const appRole = (variable: string) => ({
  ...AWS_FUNCTION_ENVIRONMENT,
  LEASEKEEPER_AUTH: 'approle',
  [variable]: '/leasekeeper/scan',
  AWS_ENDPOINT_URL_SSM: store.url,
  AWS_ENDPOINT_URL_SECRETS_MANAGER: store.url,
});
const webIdentity = () => ({
  ...AWS_FUNCTION_ENVIRONMENT,
  LEASEKEEPER_AUTH: 'aws-web-identity',
  LEASEKEEPER_JWT_AUDIENCE: 'https://vault.example.com',
  AWS_ENDPOINT_URL_STS: sts.url,
});

describe('a function on Lambda, as AWS has given it credentials', () => {
  it.each([
    ['Systems Manager', 'LEASEKEEPER_APPROLE_PARAMETER'],
    ['Secrets Manager', 'LEASEKEEPER_APPROLE_SECRET'],
  ])('logs in once by what %s keeps for it, and scans', async (_, variable) => {
    const before = store.requests();
    store.texts.set('/leasekeeper/scan', await world.appRoleOf('scan'));
    await using scan = await world.start('scan', client, appRole(variable));
    for (let times = 0; times < 3; times += 1) {
      expect(await scan.invoke(SCHEDULED_EVENT)).toMatchObject({ payload: { entries: expect.any(Number) } });
    }
    expect(logins('approle')).toEqual([200]);
    expect(store.requests() - before).toBe(1);
  });

  it('tells what it could not read there, and has it at the next event', async () => {
    store.texts.clear();
    await using scan = await world.start('scan', client, appRole('LEASEKEEPER_APPROLE_PARAMETER'));
    expect(await scan.invoke(SCHEDULED_EVENT)).toMatchObject({
      error: { errorMessage: expect.stringContaining('ParameterNotFound') },
    });
    expect(exchanges()).toEqual([]);
    store.texts.set('/leasekeeper/scan', await world.appRoleOf('scan'));
    expect(await scan.invoke(SCHEDULED_EVENT)).toMatchObject({ payload: { entries: expect.any(Number) } });
    for (const secret of [AWS_FUNCTION.secretAccessKey, AWS_FUNCTION.sessionToken, ...world.vault.secrets])
      expect(scan.log.join('\n').includes(secret)).toBe(false);
  });

  it('logs in once by a JWT that STS signs for its role, and scans', async () => {
    await using scan = await world.start('scan', client, webIdentity());
    for (let times = 0; times < 3; times += 1) {
      expect(await scan.invoke(SCHEDULED_EVENT)).toMatchObject({ payload: { entries: expect.any(Number) } });
    }
    expect(logins('jwt')).toEqual([200]);
    expect(sts.issued).toHaveLength(1);
    expect(scan.log.join('\n')).not.toContain(sts.issued[0]);
  });

  it('is refused by Vault as a role that is not bound', async () => {
    const other = { ...webIdentity(), AWS_ACCESS_KEY_ID: OTHER.accessKeyId };
    await using scan = await world.start('scan', client, other);
    expect(await scan.invoke(SCHEDULED_EVENT)).toMatchObject({ error: { errorType: 'VaultError' } });
    expect(logins('jwt')).toEqual([400]);
    expect(exchanges()).toHaveLength(1);
  });
});
