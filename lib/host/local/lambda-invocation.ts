import { randomUUID } from 'node:crypto';
import type { Context } from 'aws-lambda';

/** How long an invocation may take here, in milliseconds: as long as Lambda allows at most. */
const LIMIT_MS = 900_000;

/** The context that Lambda would give a function, for calling its handler in this process. */
export function localContext(name: string): Context {
  const deadline = Date.now() + LIMIT_MS;
  return {
    callbackWaitsForEmptyEventLoop: false,
    functionName: `leasekeeper-${name}`,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:local:000000000000:function:leasekeeper-${name}`,
    memoryLimitInMB: '0',
    awsRequestId: randomUUID(),
    logGroupName: 'local',
    logStreamName: 'local',
    getRemainingTimeInMillis: () => deadline - Date.now(),
    done: () => {},
    fail: () => {},
    succeed: () => {},
  };
}
