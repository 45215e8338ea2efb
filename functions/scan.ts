import type { FunctionHost } from '../lib/host/function-host.ts';
import { onLambda } from '../lib/host/lambda.ts';
import { lambdaBus } from '../lib/host/lambda-bus.ts';
import { observed } from '../lib/host/middleware.ts';
import { wireScan } from '../lib/host/wire.ts';
import { type ScanDependencies, scanBooks } from '../lib/leases/scan.ts';

/** Runs on a schedule: finds what is due in the agenda and sends the workers to it. */
export const scanFunction = (host: FunctionHost<ScanDependencies>) =>
  observed(host, async () => scanBooks(host.dependencies()));

export const handler = scanFunction(
  onLambda('scan', (parts) => wireScan({ ...parts, bus: lambdaBus(parts.config) })),
);
