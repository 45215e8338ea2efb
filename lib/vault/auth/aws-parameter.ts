import * as z from 'zod';
import { codeOf, LeasekeeperError } from '../../errors.ts';
import { Secret } from '../../telemetry/secret.ts';
import { createTransport, type TransportAnswer } from '../transport.ts';

export interface AwsParameterOptions {
  /** Name or ARN of a SecureString of AWS Systems Manager. */
  readonly name: string;
  /** Where the extension listens on this machine. */
  readonly port: number;
  /** The function's own AWS session token: the extension answers nobody else. */
  readonly sessionToken: Secret;
}

const answerSchema = z.object({ Parameter: z.object({ Value: z.string() }) });

/**
 * Reads a parameter through the "AWS Parameters and Secrets Lambda Extension", a layer that keeps what it has read for
 * SSM_PARAMETER_STORE_TTL (300 s by default). It can be asked during an invocation only, not while a function is loaded (AWS Systems
 * Manager User Guide: "Using Parameter Store parameters in AWS Lambda functions"). Throws `identity_unreadable`.
 */
export async function readAwsParameter(options: AwsParameterOptions): Promise<Secret> {
  const answer = await ask(options);
  if (answer.status !== 200) throw unreadable(options.name, `HTTP ${answer.status}`);
  try {
    return new Secret(answerSchema.parse(JSON.parse(answer.body)).Parameter.Value);
  } catch {
    throw unreadable(options.name, 'an answer of another form');
  }
}

async function ask({ name, port, sessionToken }: AwsParameterOptions): Promise<TransportAnswer> {
  const transport = createTransport({ address: `http://localhost:${port}`, connections: 1 });
  try {
    return await transport.exchange({
      method: 'GET',
      path: `/systemsmanager/parameters/get?${new URLSearchParams({ name, withDecryption: 'true' })}`,
      headers: { 'x-aws-parameters-secrets-token': sessionToken.expose() },
      body: undefined,
      signal: undefined,
    });
  } catch (error) {
    // Not the transport's own error: that speaks of Vault, which was not asked yet.
    throw unreadable(name, codeOf(error) === 'vault_timeout' ? 'no answer in time' : 'no connection');
  } finally {
    await transport.close();
  }
}

function unreadable(name: string, reason: string): LeasekeeperError {
  return new LeasekeeperError('identity_unreadable', `The parameter ${name} cannot be read (${reason}).`, {
    hint: 'Check that the parameter exists, that the function may call ssm:GetParameter on it, and that the extension is among its layers.',
  });
}
