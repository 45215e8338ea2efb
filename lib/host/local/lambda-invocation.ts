import { randomUUID } from 'node:crypto';
import type { Context } from 'aws-lambda';

/** What is left of an invocation's time, in milliseconds: always as much as Lambda allows at most, because nothing ends it here. */
const REMAINING_MS = 900_000;

/** The context that Lambda would give a function, for calling its handler in this process. */
export function localContext(name: string): Context {
  return {
    callbackWaitsForEmptyEventLoop: false,
    functionName: `leasekeeper-${name}`,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:local:000000000000:function:leasekeeper-${name}`,
    memoryLimitInMB: '0',
    awsRequestId: randomUUID(),
    logGroupName: 'local',
    logStreamName: 'local',
    getRemainingTimeInMillis: () => REMAINING_MS,
    done: () => {},
    fail: () => {},
    succeed: () => {},
  };
}
