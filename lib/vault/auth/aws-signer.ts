import { type AwsCredentials, credentialsFrom } from './aws-credentials.ts';

/** A POST to AWS before it is signed. */
export interface UnsignedRequest {
  /** The service as signatures name it: `sts`, `ssm`, `secretsmanager`. */
  readonly service: string;
  readonly region: string;
  readonly url: URL;
  /** Signed too, and `host` with them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A signed request, as it may be sent by whoever holds it: for 5 minutes, and from anywhere. */
export interface SignedRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Signs requests as whoever the credentials are. */
export interface AwsSigner {
  /** `now` in milliseconds since the epoch. Throws `aws_credentials_missing`. */
  sign(request: UnsignedRequest, now: number): Promise<SignedRequest>;
}

/** Signs with `credentials`, or with what AWS's own default chain finds. The SDK is loaded when something is first signed. */
export function createAwsSigner(credentials?: () => Promise<AwsCredentials>): AwsSigner {
  // Kept between requests: AWS's chain remembers what it found until that is about to expire.
  let find = credentials;
  return {
    sign: async ({ service, region, url, headers, body }, now) => {
      const sdk = await import('./aws-sdk.ts');
      find ??= sdk.defaultCredentials();
      const given = { host: url.host, ...headers };
      const signed = await sdk.signedHeaders({
        credentials: await credentialsFrom(find),
        service,
        region,
        url,
        headers: given,
        body,
        at: new Date(now),
      });
      return { url: url.href, headers: signed, body };
    },
  };
}
