import { createServer } from 'node:http';
import * as z from 'zod';
import { listening } from './listening.ts';
import { type ArrivedRequest, type AwsIdentity, arrived, checkSignature } from './sigv4-check.ts';

/** What stands in for AWS Systems Manager and Secrets Manager of one region. */
export interface AwsStoreServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** Texts by name: parameters and secrets alike. */
  readonly texts: Map<string, string>;
  /** What it was asked, in order; each was signed well. */
  readonly asked: { readonly target: string; readonly body: unknown }[];
  /** How often it was asked at all. */
  requests(): number;
  /** Answers come from here while it is set. */
  instead: (() => { status: number; body: string } | undefined) | undefined;
}

/** Whom the stand-in has given keys, as Lambda has them in a function's environment. */
export const AWS_FUNCTION: AwsIdentity & { readonly sessionToken: string } = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'secret/canary+of/function',
  sessionToken: 'session/canary+of/function==',
  arn: 'arn:aws:sts::123456789012:assumed-role/leasekeeper-scan/scan',
};

/** The environment of a function that is given these keys. */
export const AWS_FUNCTION_ENVIRONMENT = {
  AWS_ACCESS_KEY_ID: AWS_FUNCTION.accessKeyId,
  AWS_SECRET_ACCESS_KEY: AWS_FUNCTION.secretAccessKey,
  AWS_SESSION_TOKEN: AWS_FUNCTION.sessionToken,
};

const parameterSchema = z.strictObject({ Name: z.string(), WithDecryption: z.literal(true) });
const secretSchema = z.strictObject({ SecretId: z.string() });

/**
 * Plays GetParameter and GetSecretValue: the signature of each request is checked as AWS does, and the answer is in AWS's JSON protocol
 * 1.1 (the API references of Systems Manager and Secrets Manager).
 */
export async function startAwsStore(region: string): Promise<AwsStoreServer> {
  let requests = 0;
  const answer = (request: ArrivedRequest): { status: number; body: string } => {
    requests += 1;
    const instead = store.instead?.();
    if (instead !== undefined) return instead;
    const target = String(request.headers['x-amz-target']);
    const service = target.startsWith('AmazonSSM.') ? 'ssm' : 'secretsmanager';
    const scope = { region, service, now: Date.now(), identities: [AWS_FUNCTION] };
    const signer = checkSignature(request, scope);
    if (typeof signer === 'string') return awsRefusal(signer);
    if (request.headers['content-type'] !== 'application/x-amz-json-1.1')
      return awsRefusal('UnknownOperationException');
    const body: unknown = JSON.parse(request.body);
    store.asked.push({ target, body });
    return answerTo(target, body, store.texts);
  };
  const server = await listening(
    createServer((request, response) => {
      void arrived(request)
        .then(answer)
        .then(({ status, body }) =>
          response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(body),
        );
    }),
  );
  const store: AwsStoreServer = {
    url: `http://127.0.0.1:${server.port}`,
    texts: new Map(),
    asked: [],
    requests: () => requests,
    instead: undefined,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return store;
}

/** The form of AWS's errors in its JSON protocols. */
export function awsRefusal(code: string, message = ''): { status: number; body: string } {
  return { status: 400, body: JSON.stringify({ __type: code, message }) };
}

function answerTo(
  target: string,
  body: unknown,
  texts: ReadonlyMap<string, string>,
): { status: number; body: string } {
  switch (target) {
    case 'AmazonSSM.GetParameter': {
      const { Name } = parameterSchema.parse(body);
      const Value = texts.get(Name);
      if (Value === undefined) return awsRefusal('com.amazonaws.ssm#ParameterNotFound');
      const Parameter = { Name, Type: 'SecureString', Value, Version: 3, DataType: 'text' };
      return { status: 200, body: JSON.stringify({ Parameter }) };
    }
    case 'secretsmanager.GetSecretValue': {
      const { SecretId } = secretSchema.parse(body);
      const SecretString = texts.get(SecretId);
      if (SecretString === undefined) return awsRefusal('ResourceNotFoundException');
      const answer = { Name: SecretId, VersionId: 'v', VersionStages: ['AWSCURRENT'], SecretString };
      return { status: 200, body: JSON.stringify(answer) };
    }
    default:
      return awsRefusal('UnknownOperationException');
  }
}
