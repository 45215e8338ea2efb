/**
 * The parts of AWS's SDK that a login needs. Imported only by `import()`, when such a login is made: they take longer to load than all of
 * our own code.
 */
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { parseXML } from '@aws-sdk/xml-builder';
import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import type { AwsCredentials } from './aws-credentials.ts';

/** What AWS's own tools find: the environment, profiles, SSO, a web identity, the container, the instance. */
export function defaultCredentials(): () => Promise<AwsCredentials> {
  return defaultProvider();
}

export interface SigningInput {
  readonly credentials: AwsCredentials;
  readonly service: string;
  readonly region: string;
  readonly url: URL;
  /** With `host`; each is signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly at: Date;
}

/** All headers of a POST, signed by Signature Version 4. */
export async function signedHeaders(input: SigningInput): Promise<Readonly<Record<string, string>>> {
  const { credentials, service, region, url, headers, body, at } = input;
  const signer = new SignatureV4({
    service,
    region,
    credentials,
    sha256: Sha256,
    // The hash of the body is in the signature; no service that is asked needs a header with it, and an old Vault refuses `x-amz-*` that it does not know.
    applyChecksum: false,
  });
  const signed = await signer.sign(
    {
      method: 'POST',
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      headers: { ...headers },
      body,
    },
    { signingDate: at },
  );
  return signed.headers;
}

/** Parses an answer in XML: elements by name, text as strings. Throws on what is no XML; its error may quote the text. */
export function parseXml(text: string): unknown {
  return parseXML(text);
}
