import { request as httpRequest, type OutgoingHttpHeaders } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import * as z from 'zod';
import { awsIamAuth } from '../../../lib/vault/auth/aws-iam.ts';
import { stsAddress } from '../../../lib/vault/auth/aws-sts.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { checkSignature } from '../../support/sigv4-check.ts';
import { type StsServer, startSts } from '../../support/sts-server.ts';
import { type AskedLogin, askedBy, saidBy } from './asked-login.ts';

const REGION = 'eu-central-1';
const user = {
  accessKeyId: 'AKIAEXAMPLE',
  secretAccessKey: 'secret/canary+of/user',
  arn: 'arn:aws:iam::123456789012:user/app',
};
const role = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'secret/canary+of/role',
  sessionToken: 'session/canary+token==',
  arn: 'arn:aws:sts::123456789012:assumed-role/leasekeeper-scan/scan',
};

let sts: StsServer;
beforeAll(async () => {
  sts = await startSts(REGION, [user, role]);
});
afterAll(() => sts[Symbol.asyncDispose]());
afterEach(() => {
  sts.aheadMs = 0;
  vi.unstubAllEnvs();
});

const credentialsOf = (identity: typeof user) => async () => identity;
const asRole = { role: 'app', region: REGION, credentials: credentialsOf(role) };

const goHeaders = z.record(z.string(), z.array(z.string()).nonempty());
const decoded = (text = '') => Buffer.from(text, 'base64').toString('utf8');

/** The request that Vault is given, in its parts. */
function signedIn({ body }: AskedLogin) {
  return {
    method: body.iam_http_request_method ?? '',
    url: new URL(decoded(body.iam_request_url)),
    headers: goHeaders.parse(JSON.parse(decoded(body.iam_request_headers))),
    body: decoded(body.iam_request_body),
  };
}
type Signed = ReturnType<typeof signedIn>;

/** Headers that Go writes by itself, whatever is set. */
const OF_GO = new Set(['host', 'content-length', 'user-agent', 'transfer-encoding', 'trailer']);

/**
 * Sends it to `endpoint` as Vault does (`buildHttpRequest` of builtin/credential/aws/path_login.go): the path and the query behind
 * the endpoint and a slash, and the host of the client's URL as Host.
 */
function forward({ method, url, headers, body }: Signed, endpoint = sts.url): Promise<string> {
  const own = Object.entries(headers).filter(([name]) => !OF_GO.has(name.toLowerCase()));
  const sent: OutgoingHttpHeaders = {
    ...Object.fromEntries(own),
    host: url.host,
    'user-agent': 'Go-http-client/1.1',
    'content-length': Buffer.byteLength(body),
  };
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { hostname, port } = new URL(endpoint);
  const path = `/${url.pathname}${url.search}`;
  const request = httpRequest({ method, hostname, port, path, headers: sent, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk) => {
      text += String(chunk);
    });
    response.on('end', () => resolve(`${response.statusCode} ${text}`));
  });
  request.on('error', reject).end(body);
  return promise;
}

describe('a login by AWS IAM', () => {
  it.each([
    ['a user', user],
    ['a role, with its session token', role],
  ])('gives Vault a request by which STS names %s', async (_, identity) => {
    const asked = await askedBy(awsIamAuth({ ...asRole, credentials: credentialsOf(identity) }));
    const signed = signedIn(asked);
    expect(signed.method).toBe('POST');
    expect(signed.url.href).toBe('https://sts.eu-central-1.amazonaws.com/');
    expect(Object.fromEntries(new URLSearchParams(signed.body))).toEqual({
      Action: 'GetCallerIdentity',
      Version: '2011-06-15',
    });
    const answer = await forward(signed);
    expect(answer).toMatch(/^200 /);
    expect(answer).toContain(`<Arn>${identity.arn}</Arn>`);
  });

  it('goes to its mount in its namespace', async () => {
    const asked = await askedBy(awsIamAuth({ ...asRole, mount: 'cloud', authNamespace: 'team' }));
    expect(asked.path).toBe('/v1/team/auth/cloud/login');
    expect(asked.body.role).toBe('app');
    expect((await askedBy(awsIamAuth(asRole))).path).toBe('/v1/auth/aws/login');
  });

  it('has only those headers of AWS that Vault lets through', async () => {
    // defaultAllowedSTSRequestHeaders in builtin/credential/aws/backend.go, as far as they are for a POST.
    const allowed = ['x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'];
    const names = Object.keys(signedIn(await askedBy(awsIamAuth(asRole))).headers);
    expect(names.filter((name) => name.startsWith('x-amz-'))).toContain('x-amz-security-token');
    expect(names.filter((name) => name.startsWith('x-amz-') && !allowed.includes(name))).toEqual([]);
  });

  it('is for one Vault only, where that has a name: it is signed', async () => {
    const asked = await askedBy(awsIamAuth({ ...asRole, serverId: 'vault.example.com' }));
    const signed = signedIn(asked);
    expect(signed.headers['x-vault-aws-iam-server-id']).toEqual(['vault.example.com']);
    const [, names = ''] = /SignedHeaders=([^,]+)/.exec(signed.headers.authorization?.[0] ?? '') ?? [];
    expect(names.split(';')).toContain('x-vault-aws-iam-server-id');
    expect(await forward(signed)).toMatch(/^200 /);
    const otherVault = { 'x-vault-aws-iam-server-id': ['vault.example.org'] };
    const forOther = { ...signed, headers: { ...signed.headers, ...otherVault } };
    expect(await forward(forOther)).toContain('SignatureDoesNotMatch');
    expect(signedIn(await askedBy(awsIamAuth(asRole))).headers).not.toHaveProperty(
      'x-vault-aws-iam-server-id',
    );
  });

  it.each<[string, (signed: Signed) => Signed]>([
    ['another action', (signed) => ({ ...signed, body: signed.body.replace('Caller', 'Other') })],
    ['another host', (signed) => ({ ...signed, url: new URL('https://sts.eu-west-1.amazonaws.com/') })],
    ['another path', (signed) => ({ ...signed, url: new URL('elsewhere', signed.url) })],
    ['another query', (signed) => ({ ...signed, url: new URL('?Action=Other', signed.url) })],
    ['another method', (signed) => ({ ...signed, method: 'PUT' })],
    [
      'another time',
      (signed) => ({ ...signed, headers: { ...signed.headers, 'x-amz-date': ['20200101T000000Z'] } }),
    ],
    [
      'one more header of AWS',
      (signed) => ({ ...signed, headers: { ...signed.headers, 'x-amz-target': ['x'] } }),
    ],
  ])('is refused by STS with %s', async (_, tamper) => {
    const signed = signedIn(await askedBy(awsIamAuth(asRole)));
    expect(await forward(tamper(signed))).toMatch(/^403 .*SignatureDoesNotMatch/);
    expect(await forward(signed)).toMatch(/^200 /);
  });

  it.each([
    ['another secret key', { ...role, secretAccessKey: 'other' }, 'SignatureDoesNotMatch'],
    ['another session token', { ...role, sessionToken: 'other' }, 'InvalidClientTokenId'],
    ['another key id', { ...role, accessKeyId: 'ASIAOTHER' }, 'InvalidClientTokenId'],
  ])('is refused by STS when signed with %s', async (_, identity, code) => {
    const asked = await askedBy(awsIamAuth({ ...asRole, credentials: credentialsOf(identity) }));
    expect(await forward(signedIn(asked))).toContain(code);
  });

  it('is refused by the STS of another region', async () => {
    const asked = await askedBy(awsIamAuth({ ...asRole, region: 'eu-west-1' }));
    expect(await forward(signedIn(asked))).toContain('SignatureDoesNotMatch');
  });

  it('is good for five minutes', async () => {
    const signed = signedIn(await askedBy(awsIamAuth(asRole)));
    sts.aheadMs = 4 * 60_000;
    expect(await forward(signed)).toMatch(/^200 /);
    sts.aheadMs = 6 * 60_000;
    expect(await forward(signed)).toContain('SignatureDoesNotMatch');
  });

  it('is signed at the time that Vault’s clock shows, once that is known', async () => {
    const hourBehind = () => Date.now() - 3_600_000;
    const asked: string[] = [];
    const client = new VaultClient({
      now: hourBehind,
      transport: {
        exchange: async ({ body = '' }) => {
          asked.push(body);
          return { status: 403, headers: { date: new Date().toUTCString() }, body: '{"errors":[]}' };
        },
        close: async () => {},
      },
    });
    const method = awsIamAuth(asRole);
    await method.login(client).catch(() => undefined);
    await method.login(client).catch(() => undefined);
    const [first, second] = asked.map((body) =>
      signedIn({ path: '', body: z.record(z.string(), z.string()).parse(JSON.parse(body)) }),
    );
    if (first === undefined || second === undefined) throw new Error('two logins were expected');
    expect(await forward(first)).toContain('SignatureDoesNotMatch');
    expect(await forward(second)).toMatch(/^200 /);
  });

  it('takes the credentials that AWS’s own tools would take', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', role.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', role.secretAccessKey);
    vi.stubEnv('AWS_SESSION_TOKEN', role.sessionToken);
    const asked = await askedBy(awsIamAuth({ role: 'app', region: REGION }));
    expect(await forward(signedIn(asked))).toContain(role.arn);
  });

  it('asks for credentials at each login', async () => {
    const credentials = vi.fn(async () => role);
    const method = awsIamAuth({ ...asRole, credentials });
    await askedBy(method);
    await askedBy(method);
    expect(credentials).toHaveBeenCalledTimes(2);
  });

  const malformed: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['none', () => Promise.reject(new Error('cannot parse hunter2'))],
    ['an error that is none', () => Promise.reject('hunter2')],
    [
      'an error at once',
      () => {
        throw new Error('hunter2');
      },
    ],
    ['one without a secret', async () => ({ accessKeyId: 'hunter2' })],
    ['an empty secret', async () => ({ accessKeyId: 'hunter2', secretAccessKey: '' })],
    ['a line end in the key id', async () => ({ accessKeyId: 'hunter2\r\nx: y', secretAccessKey: 's' })],
    ['a line end in the secret', async () => ({ accessKeyId: 'a', secretAccessKey: 'hunter2\n' })],
    ['a token of another kind', async () => ({ ...role, sessionToken: ['hunter2'] })],
  ];
  it.each(malformed)('says that there are no credentials, and nothing of them: %s', async (_, find) => {
    // As any JavaScript may: what a provider gives is not checked by types there.
    const options = { ...asRole, credentials: find };
    const error: unknown = await askedBy(Reflect.apply(awsIamAuth, undefined, [options])).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'aws_credentials_missing', hint: expect.any(String) });
    expect(saidBy(error)).not.toContain('hunter2');
  });

  it('keeps secret keys and session tokens out of errors of Vault', async () => {
    const client = new VaultClient({
      transport: {
        exchange: async () => ({ status: 400, headers: {}, body: '{"errors":["no such role"]}' }),
        close: async () => {},
      },
    });
    const error: unknown = await awsIamAuth(asRole)
      .login(client)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'vault_bad_request' });
    expect(saidBy(error)).not.toMatch(/canary|AWS4|iam_request/);
  });
});

describe('the check of signatures', () => {
  const identity = {
    accessKeyId: 'AKIDEXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    arn: 'example',
  };
  const scope = {
    region: 'us-east-1',
    service: 'service',
    now: Date.parse('2015-08-30T12:36:00Z'),
    identities: [identity],
  };
  const vanilla = {
    method: 'GET',
    target: '/',
    body: '',
    headers: {
      host: 'example.amazonaws.com',
      'x-amz-date': '20150830T123600Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
    },
  };

  it('agrees with AWS’s published test suite (get-vanilla)', () => {
    expect(checkSignature(vanilla, scope)).toBe(identity);
    expect(checkSignature({ ...vanilla, target: '//' }, scope)).toBe(identity);
    expect(checkSignature({ ...vanilla, target: '/x' }, scope)).toBe('SignatureDoesNotMatch');
  });
});

describe('the address of STS', () => {
  it.each([
    [{}, 'https://sts.amazonaws.com/', 'us-east-1'],
    [{ region: 'aws-global' }, 'https://sts.amazonaws.com/', 'us-east-1'],
    [{ region: 'us-east-1' }, 'https://sts.us-east-1.amazonaws.com/', 'us-east-1'],
    [{ region: 'cn-north-1' }, 'https://sts.cn-north-1.amazonaws.com.cn/', 'cn-north-1'],
    [{ region: 'us-gov-west-1' }, 'https://sts.us-gov-west-1.amazonaws.com/', 'us-gov-west-1'],
    [{ region: 'us-iso-east-1' }, 'https://sts.us-iso-east-1.c2s.ic.gov/', 'us-iso-east-1'],
    [{ region: 'us-isob-east-1' }, 'https://sts.us-isob-east-1.sc2s.sgov.gov/', 'us-isob-east-1'],
    [{ region: 'eusc-de-east-1' }, 'https://sts.eusc-de-east-1.amazonaws.eu/', 'eusc-de-east-1'],
    [
      { region: 'eu-west-1', endpoint: 'https://sts.amazonaws.com' },
      'https://sts.amazonaws.com/',
      'us-east-1',
    ],
    [
      { region: 'eu-west-1', endpoint: 'https://sts.us-gov-west-1.amazonaws.com' },
      'https://sts.us-gov-west-1.amazonaws.com/',
      'us-gov-west-1',
    ],
    [
      { region: 'eu-west-1', endpoint: 'https://vpce-1.sts.eu-west-1.vpce.amazonaws.com' },
      'https://vpce-1.sts.eu-west-1.vpce.amazonaws.com/',
      'eu-west-1',
    ],
    [{ endpoint: 'http://127.0.0.1:4566' }, 'http://127.0.0.1:4566/', 'us-east-1'],
  ])('%j', (options, href, region) => {
    const address = stsAddress(options);
    expect([address.url.href, address.region]).toEqual([href, region]);
  });
});
