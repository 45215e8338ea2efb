import { createServer } from 'node:http';
import { type CryptoKey, exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { listening } from './listening.ts';
import { type ArrivedRequest, type AwsIdentity, arrived, checkSignature } from './sigv4-check.ts';

/** What stands in for AWS STS of one region. */
export interface StsServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** As AWS publishes its keys, in PEM. */
  readonly publicKeys: readonly string[];
  /** What it was asked, in order; each was signed well. */
  readonly asked: URLSearchParams[];
  /** The JWTs that it has issued. */
  readonly issued: string[];
  /** How often it was asked at all. */
  requests(): number;
  /** Its clock is so much later. */
  aheadMs: number;
  /** Answers come from here while it is set. */
  instead: ((request: ArrivedRequest) => { status: number; body: string } | undefined) | undefined;
}

export const STS_ISSUER = 'https://11111111-2222-3333-4444-555555555555.tokens.sts.global.api.aws';
const XMLNS = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"';

/**
 * Plays AWS STS: the signature of each request is checked as AWS does, and GetCallerIdentity and GetWebIdentityToken are answered in the
 * XML of its API (version 2011-06-15).
 */
export async function startSts(region: string, identities: readonly AwsIdentity[]): Promise<StsServer> {
  const keys = { RS256: await generateKeyPair('RS256'), ES384: await generateKeyPair('ES384') };
  let requests = 0;
  const answer = async (request: ArrivedRequest): Promise<{ status: number; body: string }> => {
    requests += 1;
    const instead = sts.instead?.(request);
    if (instead !== undefined) return instead;
    const now = Date.now() + sts.aheadMs;
    const signer = checkSignature(request, { region, service: 'sts', now, identities });
    if (typeof signer === 'string') return stsRefusal(403, signer);
    const parameters = new URLSearchParams(request.body);
    sts.asked.push(parameters);
    if (parameters.get('Version') !== '2011-06-15') return stsRefusal(400, 'NoSuchVersion');
    switch (parameters.get('Action')) {
      case 'GetCallerIdentity':
        return { status: 200, body: callerIdentity(signer) };
      case 'GetWebIdentityToken': {
        const jwt = await webIdentity(parameters, signer, keys);
        if (jwt === undefined) return stsRefusal(400, 'ValidationError');
        sts.issued.push(jwt);
        return { status: 200, body: webIdentityAnswer(jwt, new Date(now + 60_000).toISOString()) };
      }
      default:
        return stsRefusal(400, 'InvalidAction');
    }
  };
  const server = await listening(
    createServer((request, response) => {
      void arrived(request)
        .then(answer)
        .then(({ status, body }) => response.writeHead(status, { 'content-type': 'text/xml' }).end(body));
    }),
  );
  const sts: StsServer = {
    url: `http://127.0.0.1:${server.port}`,
    publicKeys: await Promise.all(Object.values(keys).map(({ publicKey }) => exportSPKI(publicKey))),
    asked: [],
    issued: [],
    requests: () => requests,
    aheadMs: 0,
    instead: undefined,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return sts;
}

/** The form of STS's errors. */
export function stsRefusal(status: number, code: string, message = ''): { status: number; body: string } {
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error>`;
  return { status, body: `<ErrorResponse ${XMLNS}>${error}<RequestId>r</RequestId></ErrorResponse>` };
}

/** The form of STS's answer to GetWebIdentityToken. */
export function webIdentityAnswer(token: string, expiration = '2036-01-01T00:00:00Z'): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<GetWebIdentityTokenResponse ${XMLNS}>
  <GetWebIdentityTokenResult>
    <WebIdentityToken>${token}</WebIdentityToken>
    <Expiration>${expiration}</Expiration>
  </GetWebIdentityTokenResult>
  <ResponseMetadata>
    <RequestId>r</RequestId>
  </ResponseMetadata>
</GetWebIdentityTokenResponse>`;
}

function callerIdentity({ arn, accessKeyId }: AwsIdentity): string {
  const result = `<Arn>${arn}</Arn><UserId>${accessKeyId}</UserId><Account>123456789012</Account>`;
  return `<GetCallerIdentityResponse ${XMLNS}><GetCallerIdentityResult>${result}</GetCallerIdentityResult></GetCallerIdentityResponse>`;
}

/** Undefined when the parameters are not as the API wants them. */
async function webIdentity(
  parameters: URLSearchParams,
  { arn }: AwsIdentity,
  keys: Record<'RS256' | 'ES384', { readonly privateKey: CryptoKey }>,
): Promise<string | undefined> {
  const audience = parameters.get('Audience.member.1');
  const seconds = Number(parameters.get('DurationSeconds') ?? 300);
  const alg = parameters.get('SigningAlgorithm');
  if (audience === null || !(seconds >= 60 && seconds <= 3_600)) return undefined;
  if (alg !== 'RS256' && alg !== 'ES384') return undefined;
  return new SignJWT({ 'https://sts.amazonaws.com/': { aws_account: '123456789012' } })
    .setProtectedHeader({ alg, typ: 'JWT', kid: alg })
    .setIssuer(STS_ISSUER)
    .setSubject(arn)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime(`${seconds} s`)
    .sign(keys[alg].privateKey);
}
