import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';

/** Credentials of AWS, as AWS's own providers give them. Never logged, never part of an error. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** All of printable ASCII: they are signed with, or stand in a header. */
const credentialText = z.string().regex(/^[\x21-\x7e]+$/);
const credentialsSchema = z.object({
  accessKeyId: credentialText,
  secretAccessKey: credentialText,
  sessionToken: credentialText.optional(),
});

/**
 * Asks for credentials and looks at their form. Throws `aws_credentials_missing`, without the cause: AWS's providers read files and the output
 * of programs, and their errors may quote what they read.
 */
export async function credentialsFrom(find: () => Promise<AwsCredentials>): Promise<AwsCredentials> {
  const found = credentialsSchema.safeParse(await outcomeOf(find));
  if (found.success) {
    const { accessKeyId, secretAccessKey, sessionToken } = found.data;
    return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
  }
  throw new LeasekeeperError('aws_credentials_missing', 'No credentials of AWS can be found.', {
    hint: 'Check with `aws sts get-caller-identity` in the same environment: AWS_PROFILE, AWS_ACCESS_KEY_ID, or the role of the function, the container or the machine.',
  });
}

async function outcomeOf(find: () => Promise<AwsCredentials>): Promise<AwsCredentials | undefined> {
  try {
    return await find();
  } catch {
    return undefined;
  }
}
