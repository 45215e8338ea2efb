import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

/** Whom AWS has given keys. */
export interface AwsIdentity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only with keys that are for a time. */
  readonly sessionToken?: string;
  readonly arn: string;
}

/** A request as it arrived. */
export interface ArrivedRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Takes a request in whole. */
export async function arrived(request: IncomingMessage): Promise<ArrivedRequest> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
  return { method: request.method ?? '', target: request.url ?? '', headers: request.headers, body };
}

export interface ExpectedScope {
  readonly region: string;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly identities: readonly AwsIdentity[];
}

const LATEST_MS = 5 * 60_000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/, ]+)\/(\d{8})\/([^/, ]+)\/([^/, ]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;

const sha256 = (text: string) => createHash('sha256').update(text, 'utf8').digest('hex');
const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text, 'utf8').digest();

/**
 * What AWS does with a signed request before it looks at what is asked, after "Signature Version 4 signing process" in the IAM user guide:
 * computes the signature anew from what arrived, with the secret key that belongs to the key id. Gives the signer, or the code of the refusal.
 */
export function checkSignature(request: ArrivedRequest, expected: ExpectedScope): AwsIdentity | string {
  const { headers } = request;
  const [, keyId, day, region, service, names = '', signature = ''] =
    AUTHORIZATION.exec(headers.authorization ?? '') ?? [];
  if (keyId === undefined) return 'IncompleteSignature';
  const identity = expected.identities.find(({ accessKeyId }) => accessKeyId === keyId);
  if (identity === undefined) return 'InvalidClientTokenId';
  if (headers['x-amz-security-token'] !== identity.sessionToken) return 'InvalidClientTokenId';
  if (region !== expected.region || service !== expected.service) return 'SignatureDoesNotMatch';
  const at = String(headers['x-amz-date']);
  const [, y, m, d, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(at) ?? [];
  const time = Date.parse(`${y}-${m}-${d}T${hour}:${minute}:${second}Z`);
  if (`${y}${m}${d}` !== day || !(Math.abs(expected.now - time) <= LATEST_MS)) return 'SignatureDoesNotMatch';
  const signed = names.split(';');
  const mustBeSigned = Object.keys(headers).filter((name) => name === 'host' || name.startsWith('x-amz-'));
  if (!mustBeSigned.every((name) => signed.includes(name))) return 'SignatureDoesNotMatch';
  if (signed.join() !== signed.toSorted().join()) return 'SignatureDoesNotMatch';
  const scope = `${day}/${region}/${service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', at, scope, sha256(canonical(request, signed))].join('\n');
  const key = [day ?? '', region, service, 'aws4_request'].reduce<Buffer | string>(
    hmac,
    `AWS4${identity.secretAccessKey}`,
  );
  return timingSafeEqual(hmac(key, toSign), Buffer.from(signature, 'hex'))
    ? identity
    : 'SignatureDoesNotMatch';
}

function canonical({ method, target, headers, body }: ArrivedRequest, signed: readonly string[]): string {
  const [path = '', query = ''] = target.split('?');
  const pairs = query === '' ? [] : query.split('&').toSorted();
  const lines = signed.map((name) => `${name}:${String(headers[name]).trim().replace(/ +/g, ' ')}\n`);
  // Empty segments are left out of the path for every service but S3.
  const normal = `/${path.split('/').filter(Boolean).map(encodeURIComponent).join('/')}`;
  return [method, normal, pairs.join('&'), lines.join(''), signed.join(';'), sha256(body)].join('\n');
}
