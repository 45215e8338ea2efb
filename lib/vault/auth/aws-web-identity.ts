import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';
import { Secret } from '../../telemetry/secret.ts';
import { sendToAws } from './aws-send.ts';
import type { SignedRequest } from './aws-signer.ts';
import { createStsSigner, type SigningAlgorithm, type StsOptions } from './aws-sts.ts';
import { jwtAuth } from './jwt.ts';
import type { AuthMethod } from './login.ts';

export interface AwsWebIdentityAuthOptions extends StsOptions {
  readonly role: string;
  /** Whom the JWT is for: one of `bound_audiences` of the role in Vault. */
  readonly audience: string;
  readonly signingAlgorithm?: SigningAlgorithm;
  /** How long the JWT is good, in seconds: 60 to 3,600. It is used at once. */
  readonly durationSeconds?: number;
  /** Where the jwt method is mounted. */
  readonly mount?: string;
  readonly authNamespace?: string;
}

/**
 * Vault's jwt method with a JWT that AWS signs for whoever the credentials are (AWS STS API reference, "GetWebIdentityToken"; "outbound
 * identity federation" must be on in the account, and the identity needs `sts:GetWebIdentityToken`). It works with OpenBao too, which has no aws
 * method. STS of a region is needed: the global endpoint does not know the action. Throws `aws_credentials_missing`,
 * `aws_sts_unavailable`, `aws_sts_refused`, `aws_sts_answer_invalid`.
 */
export function awsWebIdentityAuth(options: AwsWebIdentityAuthOptions): AuthMethod {
  const { role, mount, authNamespace, audience, signingAlgorithm = 'RS256', durationSeconds = 60 } = options;
  const signer = createStsSigner(options);
  const parameters = {
    Action: 'GetWebIdentityToken',
    Version: '2011-06-15',
    'Audience.member.1': audience,
    SigningAlgorithm: signingAlgorithm,
    DurationSeconds: String(durationSeconds),
  };
  return {
    name: 'aws-web-identity',
    login: (client) =>
      jwtAuth({
        role,
        jwt: async () => (await askSts(await signer.sign(parameters, client.now()))).expose(),
        ...(mount === undefined ? {} : { mount }),
        ...(authNamespace === undefined ? {} : { authNamespace }),
      }).login(client),
  };
}

/** Asking twice makes two JWTs, of which the first is never seen: that is as good as once. */
async function askSts(request: SignedRequest): Promise<Secret> {
  const sdk = await import('./aws-sdk.ts');
  const sent = await sendToAws(request, {
    codeIn: ({ body }) => errorSchema.safeParse(parsedXml(sdk, body)).data?.ErrorResponse.Error.Code,
    throttling: new Set(['Throttling']),
  });
  if (sent.body !== undefined) return jwtIn(parsedXml(sdk, sent.body));
  throw sent.busy ? unavailable(sent.reason) : refused(sent.reason);
}

/** A JWT, and not more than Vault takes. */
const jwtText = z
  .string()
  .max(64 * 1024)
  .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/);
const tokenSchema = z.object({
  GetWebIdentityTokenResponse: z.object({
    GetWebIdentityTokenResult: z.object({
      WebIdentityToken: jwtText,
      Expiration: z.iso.datetime({ offset: true }),
    }),
  }),
});
/** The code is one word; the message is AWS's own, and may say anything. */
const errorSchema = z.object({
  ErrorResponse: z.object({ Error: z.object({ Code: z.string().regex(/^[A-Za-z.]{1,80}$/) }) }),
});

function jwtIn(parsed: unknown): Secret {
  const token = tokenSchema.safeParse(parsed);
  if (token.success) {
    return new Secret(token.data.GetWebIdentityTokenResponse.GetWebIdentityTokenResult.WebIdentityToken);
  }
  throw new LeasekeeperError('aws_sts_answer_invalid', 'The answer of AWS STS holds no web identity token.', {
    hint: 'Check that AWS_ENDPOINT_URL_STS, if it is set, is STS and not a proxy or a portal.',
  });
}

/** Undefined for what is no XML; the parser's error would quote it. */
function parsedXml(sdk: { readonly parseXml: (text: string) => unknown }, text: string): unknown {
  try {
    return sdk.parseXml(text);
  } catch {
    return undefined;
  }
}

function unavailable(why: string): LeasekeeperError {
  return new LeasekeeperError('aws_sts_unavailable', `AWS STS does not answer (${why}).`, {
    hint: 'Check AWS_REGION and the way to STS; in a VPC without the internet, its endpoint. The login is tried again.',
  });
}

function refused(what: string): LeasekeeperError {
  return new LeasekeeperError('aws_sts_refused', `AWS STS refuses to issue a web identity token (${what}).`, {
    hint: 'Check that outbound identity federation is on in the account, that the identity may call sts:GetWebIdentityToken, and the clock.',
  });
}
