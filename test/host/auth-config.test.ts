import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Environment, readConfig } from '../../lib/host/config.ts';
import { identityOf } from '../../lib/host/identities.ts';
import { askedBy, saidBy } from '../vault/auth/asked-login.ts';

const VAULT_ADDR = 'https://vault.example.com:8200';
const authOf = (environment: Environment) => readConfig({ VAULT_ADDR, ...environment }).auth;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-auth-config-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const iam = { LEASEKEEPER_AUTH: 'aws-iam' };
const web = {
  LEASEKEEPER_AUTH: 'aws-web-identity',
  LEASEKEEPER_JWT_AUDIENCE: 'vault',
  AWS_REGION: 'eu-west-1',
};

describe('how functions log in', () => {
  it('jwt', () => {
    expect(authOf({ LEASEKEEPER_AUTH: 'jwt', LEASEKEEPER_JWT_FILE: '/jwt' })).toEqual({
      kind: 'jwt',
      mount: 'jwt',
      rolePrefix: 'leasekeeper-',
      jwtFile: '/jwt',
    });
  });

  it('aws-iam', () => {
    expect(authOf(iam)).toEqual({
      kind: 'aws-iam',
      mount: 'aws',
      rolePrefix: 'leasekeeper-',
      sts: {},
      serverId: undefined,
    });
    const more = {
      LEASEKEEPER_AUTH_MOUNT: 'cloud',
      LEASEKEEPER_ROLE_PREFIX: 'lk-',
      LEASEKEEPER_IAM_SERVER_ID: 'vault.example.com',
      AWS_REGION: 'eu-west-1',
      AWS_DEFAULT_REGION: 'eu-west-2',
      AWS_ENDPOINT_URL_STS: 'https://sts.example.com',
    };
    expect(authOf({ ...iam, ...more })).toEqual({
      kind: 'aws-iam',
      mount: 'cloud',
      rolePrefix: 'lk-',
      sts: { region: 'eu-west-1', endpoint: 'https://sts.example.com' },
      serverId: 'vault.example.com',
    });
    expect(authOf({ ...iam, AWS_DEFAULT_REGION: 'eu-west-2' })).toMatchObject({
      sts: { region: 'eu-west-2' },
    });
  });

  it('aws-web-identity', () => {
    expect(authOf(web)).toEqual({
      kind: 'aws-web-identity',
      mount: 'jwt',
      rolePrefix: 'leasekeeper-',
      sts: { region: 'eu-west-1' },
      audience: 'vault',
      signingAlgorithm: 'RS256',
    });
    expect(authOf({ ...web, LEASEKEEPER_JWT_ALGORITHM: 'ES384' })).toMatchObject({
      signingAlgorithm: 'ES384',
    });
  });

  it.each([
    ['AWS_REGION', { ...iam, AWS_REGION: 'hunter2.example.com' }],
    ['AWS_ENDPOINT_URL_STS', { ...iam, AWS_ENDPOINT_URL_STS: 'hunter2' }],
    ['LEASEKEEPER_IAM_SERVER_ID', { ...iam, LEASEKEEPER_IAM_SERVER_ID: 'a\r\nhunter2: b' }],
    ['AWS_REGION', { ...web, AWS_REGION: undefined }],
    ['AWS_REGION', { ...web, AWS_REGION: 'aws-global' }],
    ['AWS_REGION', { ...web, AWS_ENDPOINT_URL_STS: 'https://sts.amazonaws.com' }],
    ['LEASEKEEPER_JWT_AUDIENCE', { ...web, LEASEKEEPER_JWT_AUDIENCE: '' }],
    ['LEASEKEEPER_JWT_ALGORITHM', { ...web, LEASEKEEPER_JWT_ALGORITHM: 'hunter2' }],
  ])('refuses %s by its name, and does not say what was in it', (name, environment) => {
    let fault: unknown;
    try {
      authOf(environment);
    } catch (error) {
      fault = error;
    }
    expect(fault).toMatchObject({ code: 'configuration_invalid', message: expect.stringContaining(name) });
    expect(saidBy(fault)).not.toContain('hunter2');
  });

  it('does not look at AWS’s variables where nothing of AWS is used', () => {
    const environment = { AWS_REGION: 'no region', AWS_ENDPOINT_URL_STS: 'no address' };
    expect(authOf({ LEASEKEEPER_AUTH: 'kubernetes', ...environment })).toMatchObject({ kind: 'kubernetes' });
  });
});

describe('the identity of a function', () => {
  const identity = (environment: Environment) =>
    identityOf(readConfig({ VAULT_ADDR, ...environment }), 'scan');

  it.each(['jwt', 'kubernetes'])(
    'by %s has a role of its own, and the JWT that is in the file',
    async (method) => {
      const file = path.join(folder, `${method}.jwt`);
      const by = identity({
        LEASEKEEPER_AUTH: method,
        LEASEKEEPER_JWT_FILE: file,
        VAULT_AUTH_NAMESPACE: 'team',
        VAULT_NAMESPACE: 'team/secrets',
      });
      for (const jwt of ['first.jwt.one', 'second.jwt.two']) {
        await writeFile(file, `${jwt}\n`);
        expect(await askedBy(by)).toEqual({
          path: `/v1/team/auth/${method}/login`,
          body: { role: 'leasekeeper-scan', jwt },
        });
      }
      await writeFile(file, 'hunter2 hunter2');
      const error: unknown = await askedBy(by).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'credential_file_unreadable' });
      expect(saidBy(error)).not.toContain('hunter2');
    },
  );

  it('by AWS has a name that metrics and logs show', () => {
    expect(identity({ ...iam }).name).toBe('aws-iam');
    expect(identity({ ...web }).name).toBe('aws-web-identity');
  });
});
