import type { FunctionHost } from '../lib/host/function-host.ts';
import { onLambda } from '../lib/host/lambda.ts';
import { lambdaBus } from '../lib/host/lambda-bus.ts';
import { observed } from '../lib/host/middleware.ts';
import { queueFunction } from '../lib/host/queue-function.ts';
import { unexpected } from '../lib/host/unexpected.ts';
import { wireRotate } from '../lib/host/wire.ts';
import { onLeaseOutcome, type RotateDependencies, rotateShard } from '../lib/rotation/rotate.ts';

/** Behind a queue: carries managed secrets forward, and replaces a generation whose lease ends. */
export const rotateFunction = (host: FunctionHost<RotateDependencies>) =>
  observed(
    host,
    queueFunction(
      async (event) => {
        if (event.type === 'rotation.due') await rotateShard(host.dependencies(), event.data);
        else if (event.type === 'lease.expiring' || event.type === 'lease.lost') {
          await onLeaseOutcome(host.dependencies(), event);
        } else throw unexpected(event);
      },
      (err) => host.logger.error({ err }, 'message failed'),
    ),
  );

export const handler = rotateFunction(
  onLambda('rotate', (parts) => wireRotate({ ...parts, bus: lambdaBus(parts.config) })),
);
