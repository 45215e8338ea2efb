import { fetchRoutes } from '../lib/host/fetch-routes.ts';
import type { FunctionHost } from '../lib/host/function-host.ts';
import { failuresTo, routed } from '../lib/host/http-function.ts';
import { onLambda } from '../lib/host/lambda.ts';
import { observed } from '../lib/host/middleware.ts';
import { type FetchDependencies, wireFetch } from '../lib/host/wire.ts';

/** Behind HTTP: issues short-lived secrets and reads static ones, as the caller. */
export const fetchFunction = (host: FunctionHost<FetchDependencies>) =>
  observed(host, routed(fetchRoutes(host.dependencies, failuresTo(host.logger))));

export const handler = fetchFunction(onLambda('fetch', wireFetch));
