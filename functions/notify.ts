import { isOutcome } from '../lib/bus/events.ts';
import type { BackgroundHost } from '../lib/host/function-host.ts';
import { onLambda } from '../lib/host/lambda.ts';
import { lambdaBus } from '../lib/host/lambda-bus.ts';
import { observed } from '../lib/host/middleware.ts';
import { queueFunction } from '../lib/host/queue-function.ts';
import { unexpected } from '../lib/host/unexpected.ts';
import { wireNotify } from '../lib/host/wire.ts';
import { workOnDue } from '../lib/notices/due.ts';
import type { NotifyDependencies } from '../lib/notices/notify.ts';

/** Behind a queue: records who is to be told of an outcome, and delivers what is due. */
export const notifyFunction = (host: BackgroundHost<NotifyDependencies>) =>
  observed(
    host,
    queueFunction(
      async (event) => {
        const deps = host.dependencies();
        if (event.type === 'delivery.due') await workOnDue(deps, event.data);
        else if (isOutcome(event)) await host.background((await deps.recorder.record(event)).delivered);
        else throw unexpected(event);
      },
      (err) => host.logger.error({ err }, 'message failed'),
    ),
  );

export const handler = notifyFunction(
  onLambda('notify', (parts) => wireNotify({ ...parts, bus: lambdaBus(parts.config) })),
);
