import { createStsSigner, type StsOptions } from './aws-sts.ts';
import { type AuthMethod, loginAt } from './login.ts';

export interface AwsIamAuthOptions extends StsOptions {
  readonly role: string;
  /** The method's `iam_server_id_header_value`: a login signed with it is of no use to another Vault. */
  readonly serverId?: string;
  /** Where the method is mounted. */
  readonly mount?: string;
  readonly authNamespace?: string;
}

/**
 * HashiCorp Vault's aws auth method, of type iam: Vault is given a signed request to STS that asks who signed it (GetCallerIdentity), sends
 * it, and takes the answer for the login (Vault: "AWS auth method", "IAM auth method"; `pathLoginUpdateIam` in its sources). The request
 * goes to the endpoint that Vault is configured with, so that must be the one it was signed for. Throws `aws_credentials_missing`.
 */
export function awsIamAuth(options: AwsIamAuthOptions): AuthMethod {
  const signer = createStsSigner(options);
  return {
    name: 'aws-iam',
    login: async (client) => {
      const { url, headers, body } = await signer.sign(
        { Action: 'GetCallerIdentity', Version: '2011-06-15' },
        // Where this machine's clock is wrong, Vault's is the better one: STS refuses what was signed more than 5 minutes ago.
        client.now(),
        options.serverId === undefined ? {} : { 'x-vault-aws-iam-server-id': options.serverId },
      );
      return loginAt(client, options.authNamespace ?? '', options.mount ?? 'aws', {
        role: options.role,
        iam_http_request_method: 'POST',
        iam_request_url: base64(url),
        iam_request_body: base64(body),
        iam_request_headers: base64(JSON.stringify(asLists(headers))),
      });
    },
  };
}

/** As Go has headers, and Vault expects them. */
function asLists(headers: Readonly<Record<string, string>>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
