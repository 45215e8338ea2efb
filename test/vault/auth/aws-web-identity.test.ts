import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  type AwsWebIdentityAuthOptions,
  awsWebIdentityAuth,
} from '../../../lib/vault/auth/aws-web-identity.ts';
import { type StsServer, startSts, stsRefusal, webIdentityAnswer } from '../../support/sts-server.ts';
import { askedBy, saidBy } from './asked-login.ts';

const REGION = 'eu-central-1';
const role = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'secret/canary+of/role',
  sessionToken: 'session/canary+token==',
  arn: 'arn:aws:sts::123456789012:assumed-role/app/i-1',
};

let sts: StsServer;
let options: AwsWebIdentityAuthOptions;
beforeAll(async () => {
  sts = await startSts(REGION, [role]);
  const credentials = async () => role;
  options = { role: 'app', audience: 'vault.example.com', region: REGION, endpoint: sts.url, credentials };
});
afterAll(() => sts[Symbol.asyncDispose]());
afterEach(() => {
  sts.instead = undefined;
  sts.aheadMs = 0;
});

const faultOf = (changes: Partial<AwsWebIdentityAuthOptions> = {}): Promise<unknown> =>
  askedBy(awsWebIdentityAuth({ ...options, ...changes })).then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a login by a web identity of AWS', () => {
  it('takes the JWT that STS signs to the jwt method', async () => {
    const asked = await askedBy(awsWebIdentityAuth(options));
    expect(asked).toEqual({ path: '/v1/auth/jwt/login', body: { role: 'app', jwt: sts.issued.at(-1) } });
    expect(Object.fromEntries(sts.asked.at(-1) ?? [])).toEqual({
      Action: 'GetWebIdentityToken',
      Version: '2011-06-15',
      'Audience.member.1': 'vault.example.com',
      SigningAlgorithm: 'RS256',
      DurationSeconds: '60',
    });
  });

  it('asks for what it is told to, and goes to its mount in its namespace', async () => {
    const changes = {
      signingAlgorithm: 'ES384',
      durationSeconds: 900,
      mount: 'aws',
      authNamespace: 'team',
    } as const;
    const asked = await askedBy(awsWebIdentityAuth({ ...options, ...changes }));
    expect(asked.path).toBe('/v1/team/auth/aws/login');
    const parameters = sts.asked.at(-1);
    expect(parameters?.get('SigningAlgorithm')).toBe('ES384');
    expect(parameters?.get('DurationSeconds')).toBe('900');
  });

  it('asks for a new JWT at each login', async () => {
    const method = awsWebIdentityAuth({ ...options, signingAlgorithm: 'ES384' });
    const first = await askedBy(method);
    const second = await askedBy(method);
    expect(first.body.jwt).not.toBe(second.body.jwt);
  });

  it.each([
    ['a signature that is not theirs', { credentials: async () => ({ ...role, secretAccessKey: 'canary' }) }],
    ['another region', { region: 'eu-west-1' }],
  ])('is refused by STS for %s', async (_, changes) => {
    expect(await faultOf(changes)).toMatchObject({
      code: 'aws_sts_refused',
      message: expect.stringContaining('HTTP 403, SignatureDoesNotMatch'),
    });
  });

  it('is refused by STS when it comes late', async () => {
    sts.aheadMs = 6 * 60_000;
    expect(await faultOf()).toMatchObject({ code: 'aws_sts_refused' });
  });

  it('says why STS refuses, in one word, and nothing of its message', async () => {
    sts.instead = () => stsRefusal(400, 'OutboundWebIdentityFederationDisabledException', 'hunter2');
    const error = await faultOf();
    expect(error).toMatchObject({
      code: 'aws_sts_refused',
      message: expect.stringContaining('HTTP 400, OutboundWebIdentityFederationDisabledException'),
      hint: expect.stringContaining('federation'),
    });
    expect(saidBy(error)).not.toContain('hunter2');
    sts.instead = () => stsRefusal(400, 'hunter2 hunter2');
    expect(saidBy(await faultOf())).not.toContain('hunter2');
  });

  it.each([
    ['500', 500, stsRefusal(500, 'InternalFailure').body],
    ['503 without XML', 503, 'hunter2'],
    ['429', 429, ''],
    ['throttling', 400, stsRefusal(400, 'Throttling').body],
  ])('tries again after %s', async (_, status, body) => {
    let left = 2;
    const before = sts.requests();
    sts.instead = () => {
      left -= 1;
      return left >= 0 ? { status, body } : undefined;
    };
    const asked = await askedBy(awsWebIdentityAuth(options));
    expect(asked.body.jwt).toBe(sts.issued.at(-1));
    expect(sts.requests() - before).toBe(3);
  });

  it('gives up on an STS that stays unavailable', async () => {
    const before = sts.requests();
    sts.instead = () => ({ status: 503, body: 'hunter2' });
    const error = await faultOf();
    expect(error).toMatchObject({
      code: 'aws_sts_unavailable',
      message: expect.stringContaining('HTTP 503'),
    });
    expect(saidBy(error)).not.toContain('hunter2');
    expect(sts.requests() - before).toBe(3);
  });

  it('does not blame Vault for an STS that is not there', async () => {
    const gone = await startSts(REGION, []);
    await gone[Symbol.asyncDispose]();
    expect(await faultOf({ endpoint: gone.url })).toMatchObject({
      code: 'aws_sts_unavailable',
      message: 'AWS STS does not answer (no connection).',
    });
  });

  const jwt = 'aGVhZA.aHVudGVyMg.c2ln';
  it.each([
    ['no XML', 'hunter2'],
    ['JSON', `{"WebIdentityToken":"${jwt}hunter2"}`],
    ['nothing', ''],
    ['XML that breaks off', `${webIdentityAnswer(jwt).slice(0, 260)}hunter2`],
    ['elements that do not fit', webIdentityAnswer(jwt).replace('</WebIdentityToken>', 'hunter2</Other>')],
    ['another answer', webIdentityAnswer(`${jwt}hunter2`).replaceAll('GetWebIdentityToken', 'AssumeRole')],
    ['an empty token', webIdentityAnswer('').replace('RequestId>r', 'RequestId>hunter2')],
    ['a token that is no JWT', webIdentityAnswer('hunter2')],
    ['a token with a line end', webIdentityAnswer(`${jwt}\nhunter2`)],
    ['a token of elements', webIdentityAnswer(`<a>${jwt}</a><b>hunter2</b>`)],
    ['two tokens', webIdentityAnswer(`${jwt}</WebIdentityToken><WebIdentityToken>${jwt}hunter2`)],
    ['no end', webIdentityAnswer(`${jwt}hunter2`).replace(/<Expiration>.*<\/Expiration>/, '')],
    ['an end that is no time', webIdentityAnswer(`${jwt}hunter2`, 'soon')],
    ['a refusal with status 200', stsRefusal(200, 'AccessDenied', 'hunter2').body],
    ['a token beyond all measure', webIdentityAnswer(`${jwt}hunter2${'A'.repeat(70_000)}`)],
  ])('takes no JWT from %s, and says nothing of it', async (_, body) => {
    sts.instead = () => ({ status: 200, body });
    const error = await faultOf();
    expect(error).toMatchObject({ code: 'aws_sts_answer_invalid', hint: expect.any(String) });
    expect(saidBy(error)).not.toMatch(/hunter2|aHVudGVyMg/);
  });

  it('says nothing of secrets, whatever goes wrong', async () => {
    const jwtSeen = await askedBy(awsWebIdentityAuth(options));
    sts.instead = () => stsRefusal(403, 'AccessDenied', `${role.secretAccessKey} ${jwtSeen.body.jwt}`);
    const said = saidBy(await faultOf());
    expect(said).not.toMatch(/canary/);
    expect(said).not.toContain(jwtSeen.body.jwt);
  });
});
