import type { FunctionHost } from '../lib/host/function-host.ts';
import { onLambda } from '../lib/host/lambda.ts';
import { lambdaBus } from '../lib/host/lambda-bus.ts';
import { observed } from '../lib/host/middleware.ts';
import { queueFunction } from '../lib/host/queue-function.ts';
import { unexpected } from '../lib/host/unexpected.ts';
import { wireRenew } from '../lib/host/wire.ts';
import { type RenewDependencies, renewShard } from '../lib/leases/renew.ts';

/** Behind a queue: renews what is due in one shard of the agenda. */
export const renewFunction = (host: FunctionHost<RenewDependencies>) =>
  observed(
    host,
    queueFunction(
      async (event) => {
        if (event.type !== 'leases.due') throw unexpected(event);
        await renewShard(host.dependencies(), event.data);
      },
      (err) => host.logger.error({ err }, 'message failed'),
    ),
  );

export const handler = renewFunction(
  onLambda('renew', (parts) => wireRenew({ ...parts, bus: lambdaBus(parts.config) })),
);
