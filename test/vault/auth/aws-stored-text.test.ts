import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AwsOptions, regionalEndpoint } from '../../../lib/vault/auth/aws-endpoint.ts';
import { awsParameter, awsSecret } from '../../../lib/vault/auth/aws-stored-text.ts';
import {
  AWS_FUNCTION,
  type AwsStoreServer,
  awsRefusal,
  startAwsStore,
} from '../../support/aws-store-server.ts';

const REGION = 'eu-central-1';
let aws: AwsStoreServer;
let options: AwsOptions;
beforeEach(async () => {
  aws = await startAwsStore(REGION);
  options = { region: REGION, endpoint: aws.url, credentials: async () => AWS_FUNCTION };
});
afterEach(() => aws[Symbol.asyncDispose]());

const STORES = [
  ['parameter', awsParameter, 'ssm:GetParameter'],
  ['secret', awsSecret, 'secretsmanager:GetSecretValue'],
] as const;

const saidBy = (error: unknown) => JSON.stringify(error, ['message', 'hint', 'stack', 'cause']);

it('a parameter is asked for decrypted, a secret by its current version', async () => {
  aws.texts.set('/lk/prod one/scan', 'hunter2');
  const value = await awsParameter('/lk/prod one/scan', options)(Date.now());
  expect(value.expose()).toBe('hunter2');
  expect(String(value)).toBe('[secret]');
  expect((await awsSecret('/lk/prod one/scan', options)(Date.now())).expose()).toBe('hunter2');
  expect(aws.asked).toEqual([
    { target: 'AmazonSSM.GetParameter', body: { Name: '/lk/prod one/scan', WithDecryption: true } },
    { target: 'secretsmanager.GetSecretValue', body: { SecretId: '/lk/prod one/scan' } },
  ]);
});

describe.each(STORES)('a %s of AWS', (what, open, permission) => {
  const faultOf = (changes: Partial<AwsOptions> = {}, now = Date.now()): Promise<unknown> =>
    open('/lk/scan', { ...options, ...changes })(now).then(
      () => undefined,
      (error: unknown) => error,
    );

  it('is read anew each time, with the credentials of that time', async () => {
    let found = 0;
    const read = open('/lk/scan', {
      ...options,
      credentials: async () => {
        found += 1;
        return AWS_FUNCTION;
      },
    });
    for (const text of ['one', 'two']) {
      aws.texts.set('/lk/scan', text);
      expect((await read(Date.now())).expose()).toBe(text);
    }
    expect([found, aws.requests()]).toEqual([2, 2]);
  });

  it.each([
    [400, 'hunter2', 'HTTP 400'],
    [400, '{"__type":"AccessDeniedException","message":"hunter2"}', 'HTTP 400, AccessDeniedException'],
    [400, '{"__type":"hunter2 is no code"}', 'HTTP 400)'],
    [200, 'hunter2', 'another form'],
    [200, '{"Parameter":{"Value":["hunter2"]},"SecretString":["hunter2"]}', 'another form'],
    [200, '{"SecretBinary":"hunter2"}', 'another form'],
  ])('cannot be read from %s %s, and is asked for once', async (status, body, reason) => {
    aws.instead = () => ({ status, body });
    const error = await faultOf();
    expect(error).toMatchObject({ code: 'identity_unreadable', message: expect.stringContaining(reason) });
    expect(error).toHaveProperty('hint', expect.stringContaining(permission));
    expect(saidBy(error)).not.toMatch(/hunter2|canary/);
    expect(aws.requests()).toBe(1);
  });

  it('cannot be read where there is none, with AWS’s own code', async () => {
    expect(await faultOf()).toMatchObject({
      message: expect.stringMatching(
        /^The (parameter|secret) \/lk\/scan cannot be read \(HTTP 400, \w+NotFound/,
      ),
    });
  });

  it.each([
    ['429', { status: 429, body: '' }],
    ['500', { status: 500, body: 'hunter2' }],
    ['throttling', awsRefusal('ThrottlingException')],
  ])('is asked for again after %s', async (_, busy) => {
    aws.texts.set('/lk/scan', 'text');
    aws.instead = () => (aws.requests() < 3 ? busy : undefined);
    expect((await open('/lk/scan', options)(Date.now())).expose()).toBe('text');
    expect(aws.requests()).toBe(3);
  });

  it('is given up after three tries', async () => {
    aws.instead = () => ({ status: 503, body: 'hunter2' });
    expect(await faultOf()).toMatchObject({
      code: 'identity_unreadable',
      message: `The ${what} /lk/scan cannot be read (HTTP 503).`,
    });
    expect(aws.requests()).toBe(3);
  });

  it('cannot be read where nothing answers, and Vault is not blamed', async () => {
    await aws[Symbol.asyncDispose]();
    expect(await faultOf()).toMatchObject({
      code: 'identity_unreadable',
      message: `The ${what} /lk/scan cannot be read (no connection).`,
    });
    aws = await startAwsStore(REGION);
  });

  it.each([
    ['of another region', { region: 'us-east-1' }],
    [
      'by keys that AWS did not give',
      { credentials: async () => ({ ...AWS_FUNCTION, accessKeyId: 'AKIAOTHER' }) },
    ],
    ['by another secret key', { credentials: async () => ({ ...AWS_FUNCTION, secretAccessKey: 'other' }) }],
  ])('is refused to a signature %s', async (_, changes) => {
    aws.texts.set('/lk/scan', 'hunter2');
    expect(await faultOf(changes)).toMatchObject({ code: 'identity_unreadable' });
    expect(aws.asked).toEqual([]);
  });

  it('is refused to a signature of another time', async () => {
    aws.texts.set('/lk/scan', 'hunter2');
    expect(await faultOf({}, Date.now() - 6 * 60_000)).toMatchObject({ code: 'identity_unreadable' });
  });

  it('is not asked for without credentials', async () => {
    const credentials = async () => {
      throw new Error('hunter2');
    };
    const error = await faultOf({ credentials });
    expect(error).toMatchObject({ code: 'aws_credentials_missing' });
    expect(saidBy(error)).not.toContain('hunter2');
    expect(aws.requests()).toBe(0);
  });
});

it.each([
  ['ssm', 'eu-central-1', 'https://ssm.eu-central-1.amazonaws.com/'],
  ['secretsmanager', 'cn-north-1', 'https://secretsmanager.cn-north-1.amazonaws.com.cn/'],
  ['ssm', 'us-gov-west-1', 'https://ssm.us-gov-west-1.amazonaws.com/'],
  ['ssm', 'eusc-de-east-1', 'https://ssm.eusc-de-east-1.amazonaws.eu/'],
])('%s of %s is at %s', (service, region, url) => {
  expect(regionalEndpoint(service, region).href).toBe(url);
});
