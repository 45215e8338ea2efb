import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';
import { jsonIn } from '../../json-in.ts';
import { Secret } from '../../telemetry/secret.ts';
import { type AwsOptions, regionalEndpoint } from './aws-endpoint.ts';
import { type ErrorCodes, sendToAws } from './aws-send.ts';
import { createAwsSigner } from './aws-signer.ts';

/** Reads one text that AWS keeps. `now` in milliseconds since the epoch. Throws `aws_credentials_missing`, `identity_unreadable`. */
export type ReadStoredText = (now: number) => Promise<Secret>;

/** A service of AWS that keeps texts, by one action of its JSON protocol. */
interface Store {
  /** For people. */
  readonly what: string;
  readonly service: string;
  readonly target: string;
  readonly permission: string;
  readonly ask: (name: string) => Readonly<Record<string, unknown>>;
  /** Takes the text out of the answer. */
  readonly schema: z.ZodType<string>;
}

const PARAMETER: Store = {
  what: 'parameter',
  service: 'ssm',
  target: 'AmazonSSM.GetParameter',
  permission: 'ssm:GetParameter',
  ask: (name) => ({ Name: name, WithDecryption: true }),
  schema: z
    .object({ Parameter: z.object({ Value: z.string() }) })
    .transform(({ Parameter }) => Parameter.Value),
};

const SECRET: Store = {
  what: 'secret',
  service: 'secretsmanager',
  target: 'secretsmanager.GetSecretValue',
  permission: 'secretsmanager:GetSecretValue',
  ask: (name) => ({ SecretId: name }),
  schema: z.object({ SecretString: z.string() }).transform(({ SecretString }) => SecretString),
};

/** A SecureString of AWS Systems Manager, by name or ARN (Systems Manager API reference, "GetParameter"). */
export function awsParameter(name: string, options: AwsOptions): ReadStoredText {
  return readerOf(PARAMETER, name, options);
}

/** The current version of a secret of AWS Secrets Manager, by name or ARN (Secrets Manager API reference, "GetSecretValue"). */
export function awsSecret(name: string, options: AwsOptions): ReadStoredText {
  return readerOf(SECRET, name, options);
}

function readerOf(store: Store, name: string, { region, endpoint, credentials }: AwsOptions): ReadStoredText {
  const signer = createAwsSigner(credentials);
  const url = endpoint === undefined ? regionalEndpoint(store.service, region) : new URL(endpoint);
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': store.target };
  const body = JSON.stringify(store.ask(name));
  return async (now) => {
    const request = await signer.sign({ service: store.service, region, url, headers, body }, now);
    const sent = await sendToAws(request, CODES);
    if (sent.body === undefined) throw unreadable(store, name, sent.reason);
    const text = store.schema.safeParse(jsonIn(sent.body));
    if (text.success) return new Secret(text.data);
    throw unreadable(store, name, 'an answer of another form');
  };
}

/** "Error handling" of AWS's JSON protocols: the shape's name, perhaps after a namespace. */
const errorSchema = z.object({ __type: z.string().regex(/^(?:[\w.]{1,100}#)?[A-Za-z]{1,80}$/) });
const CODES: ErrorCodes = {
  codeIn: ({ body }) => errorSchema.safeParse(jsonIn(body)).data?.__type.split('#').at(-1),
  // What AWS's SDKs take for throttling (Smithy: `isThrottlingError`).
  throttling: new Set(['ThrottlingException', 'TooManyRequestsException', 'RequestLimitExceeded']),
};

function unreadable(store: Store, name: string, reason: string): LeasekeeperError {
  return new LeasekeeperError(
    'identity_unreadable',
    `The ${store.what} ${name} cannot be read (${reason}).`,
    {
      hint: `Check that the ${store.what} exists in this region, that the function may call ${store.permission} on it, and in a VPC the endpoint of ${store.service}.`,
    },
  );
}
