import type { FunctionHost } from '../lib/host/function-host.ts';
import { failuresTo, routed } from '../lib/host/http-function.ts';
import { onLambda } from '../lib/host/lambda.ts';
import { lambdaBus } from '../lib/host/lambda-bus.ts';
import { manageRoutes } from '../lib/host/manage-routes.ts';
import { observed } from '../lib/host/middleware.ts';
import { type ManageDependencies, wireManage } from '../lib/host/wire.ts';

/** Behind HTTP: shows and changes what is managed, and takes acknowledgements, with the rights of the caller. */
export const manageFunction = (host: FunctionHost<ManageDependencies>) =>
  observed(host, routed(manageRoutes(host.dependencies, failuresTo(host.logger))));

export const handler = manageFunction(
  onLambda('manage', (parts) => wireManage({ ...parts, bus: lambdaBus(parts.config) })),
);
