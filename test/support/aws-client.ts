import type * as z from 'zod';
import type { AwsCredentials } from '../../lib/vault/auth/aws-credentials.ts';
import { parseXml } from '../../lib/vault/auth/aws-sdk.ts';
import { createAwsSigner } from '../../lib/vault/auth/aws-signer.ts';

/** Asks a local AWS, with requests signed as AWS wants them. */
export interface AwsClient {
  /** One action of a service with AWS's JSON protocol: `AmazonSSM.PutParameter`. Throws on any status but 200. */
  json<Schema extends z.ZodType>(
    schema: Schema,
    service: string,
    target: string,
    body: Readonly<Record<string, unknown>>,
  ): Promise<z.infer<Schema>>;
  /** One action of a service with AWS's Query protocol. Gives the parsed XML. Throws on any status but 200. */
  query(service: string, parameters: Readonly<Record<string, string>>): Promise<unknown>;
}

export interface AwsClientOptions {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: AwsCredentials;
}

export function createAwsClient({ endpoint, region, credentials }: AwsClientOptions): AwsClient {
  const signer = createAwsSigner(async () => credentials);
  const ask = async (service: string, headers: Readonly<Record<string, string>>, body: string) => {
    const request = { service, region, url: new URL(endpoint), headers, body };
    const signed = await signer.sign(request, Date.now());
    // As what ends TLS before a service says: policies refuse what came without.
    const sent = { ...signed.headers, 'x-forwarded-proto': 'https' };
    const answer = await fetch(signed.url, { method: 'POST', headers: sent, body });
    const text = await answer.text();
    if (answer.status !== 200) throw new Error(`${service}: ${answer.status} ${text.slice(0, 500)}`);
    return text;
  };
  return {
    json: async (schema, service, target, body) => {
      const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': target };
      const text = await ask(service, headers, JSON.stringify(body));
      return schema.parse(text === '' ? {} : JSON.parse(text));
    },
    query: async (service, parameters) => {
      const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
      return parseXml(await ask(service, headers, new URLSearchParams({ ...parameters }).toString()));
    },
  };
}
