import type { AwsCredentials } from './aws-credentials.ts';
import { regionalEndpoint } from './aws-endpoint.ts';
import { createAwsSigner, type SignedRequest } from './aws-signer.ts';

/** Where to ask AWS who we are, and as whom. */
export interface StsOptions {
  /** AWS_REGION: STS of this region is spoken to. Left out, or `aws-global`: the one global endpoint, in us-east-1. */
  readonly region?: string | undefined;
  /** AWS_ENDPOINT_URL_STS: another address of STS, such as that of a VPC endpoint. */
  readonly endpoint?: string | undefined;
  /** AWS's default chain when left out; any of AWS's own providers will do. Asked at each login. */
  readonly credentials?: () => Promise<AwsCredentials>;
}

/** What STS signs a JWT with. */
export const SIGNING_ALGORITHMS = ['RS256', 'ES384'] as const;
export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

export interface StsAddress {
  readonly url: URL;
  /** What the signature is for. */
  readonly region: string;
}

const GLOBAL_HOST = 'sts.amazonaws.com';
/** The region that the global endpoint takes signatures for (AWS: "AWS STS Regions and endpoints"). */
const GLOBAL_REGION = 'us-east-1';
/** Those that are no region: they mean the global endpoint. */
const NO_REGION = new Set([undefined, '', 'aws-global']);

const REGIONAL_HOST = /^sts\.([a-z]+(?:-[a-z]+)+-\d+)\./;

/** Where STS is, and which region a request to it is signed for. A public endpoint says so by its name; of others the region does. */
export function stsAddress({ region, endpoint }: Pick<StsOptions, 'region' | 'endpoint'>): StsAddress {
  const named = region === undefined || NO_REGION.has(region) ? undefined : region;
  if (endpoint === undefined) {
    if (named === undefined) return { url: new URL(`https://${GLOBAL_HOST}/`), region: GLOBAL_REGION };
    return { url: regionalEndpoint('sts', named), region: named };
  }
  const url = new URL(endpoint);
  if (url.hostname === GLOBAL_HOST) return { url, region: GLOBAL_REGION };
  return { url, region: REGIONAL_HOST.exec(url.hostname)?.[1] ?? named ?? GLOBAL_REGION };
}

/** Whether this is the endpoint that knows the oldest actions only. */
export function isGlobalSts(options: Pick<StsOptions, 'region' | 'endpoint'>): boolean {
  return stsAddress(options).url.hostname === GLOBAL_HOST;
}

/** Signs requests for STS as whoever the credentials are. */
export interface StsSigner {
  /**
   * `parameters` with `Action` and `Version`; `headers` are signed too. `now` in milliseconds since the epoch. Throws
   * `aws_credentials_missing`.
   */
  sign(
    parameters: Readonly<Record<string, string>>,
    now: number,
    headers?: Readonly<Record<string, string>>,
  ): Promise<SignedRequest>;
}

export function createStsSigner(options: StsOptions): StsSigner {
  const { url, region } = stsAddress(options);
  const signer = createAwsSigner(options.credentials);
  return {
    sign: (parameters, now, headers = {}) =>
      signer.sign(
        {
          service: 'sts',
          region,
          url,
          headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8', ...headers },
          body: new URLSearchParams({ ...parameters }).toString(),
        },
        now,
      ),
  };
}
