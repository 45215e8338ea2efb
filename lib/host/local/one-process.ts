import { setTimeout as sleep } from 'node:timers/promises';
import { fetchFunction } from '../../../functions/fetch.ts';
import { manageFunction } from '../../../functions/manage.ts';
import { notifyFunction } from '../../../functions/notify.ts';
import { renewFunction } from '../../../functions/renew.ts';
import { rotateFunction } from '../../../functions/rotate.ts';
import { scanFunction } from '../../../functions/scan.ts';
import type { LeasekeeperEvent } from '../../bus/events.ts';
import { createInMemoryBus } from '../../bus/in-memory.ts';
import type { ScanReport } from '../../leases/scan.ts';
import type { DeliverDependencies } from '../../notices/deliver.ts';
import { createAudit } from '../../telemetry/audit.ts';
import type { Logger } from '../../telemetry/log.ts';
import { createPrometheusMetrics } from '../../telemetry/prometheus-metrics.ts';
import type { AuthMethod } from '../../vault/auth/login.ts';
import { VaultClient, type VaultExchange } from '../../vault/client.ts';
import { createTransport } from '../../vault/transport.ts';
import type { Config } from '../config.ts';
import { countExchanges } from '../exchange-metrics.ts';
import type { BackgroundHost } from '../function-host.ts';
import { routed } from '../http-function.ts';
import type { FunctionName } from '../identities.ts';
import { type Parts, wireFetch, wireManage, wireNotify, wireRenew, wireRotate, wireScan } from '../wire.ts';
import { type HttpHandler, startHttpServer } from './http-server.ts';
import { localContext } from './lambda-invocation.ts';
import { processRoutes } from './process-routes.ts';

export interface OneProcessOptions {
  readonly config: Config;
  readonly identityOf: (name: FunctionName) => AuthMethod;
  readonly logger: Logger;
  readonly onEvent?: (event: LeasekeeperEvent) => void;
  readonly onScan?: (report: ScanReport) => void;
  readonly onRenewed?: NonNullable<Parts['onRenewed']>;
  readonly onDelivered?: NonNullable<DeliverDependencies['onDelivered']>;
  readonly onExchange?: (exchange: VaultExchange) => void;
}

/** All functions in one process beside a Vault, on a schedule of its own, with the bus in memory. */
export interface OneProcess {
  /** Where it serves HTTP. */
  readonly address: string;
  /** Ends the schedule, lets work under way finish, gives the functions' tokens back. */
  close(): Promise<void>;
}

/** Starts the host. The handlers are those that are deployed; only their adapters differ. */
export async function startOneProcess(options: OneProcessOptions): Promise<OneProcess> {
  const { config, logger } = options;
  const { vaultAddress: address, ca } = config;
  const transport = createTransport({ address, ...(ca === undefined ? {} : { ca }) });
  const metrics = createPrometheusMetrics({ exporter: 'system' });
  metrics.set('leasekeeper_scan_interval_seconds', config.scanIntervalMs / 1_000);
  const count = countExchanges(metrics);
  const client = new VaultClient({
    transport,
    onExchange: (exchange) => {
      count(exchange);
      options.onExchange?.(exchange);
    },
  });
  const bus = createInMemoryBus({
    onError: (err, worker) => logger.error({ err, worker }, 'worker failed'),
    ...(options.onEvent ? { onEvent: options.onEvent } : {}),
  });
  const parts: Parts = {
    config,
    client,
    bus,
    metrics,
    logger,
    audit: createAudit({ logger }),
    identityOf: options.identityOf,
    random: Math.random,
    ...(options.onRenewed ? { onRenewed: options.onRenewed } : {}),
    ...(options.onDelivered ? { onDelivered: options.onDelivered } : {}),
  };
  const wired = {
    scan: wireScan(parts),
    renew: wireRenew(parts),
    rotate: wireRotate(parts),
    notify: wireNotify(parts),
    fetch: wireFetch(parts),
    manage: wireManage(parts),
  };
  const background = new Set<Promise<void>>();
  const hostOf = <D>(dependencies: D): BackgroundHost<D> => ({
    logger,
    now: Date.now,
    flushMetrics: () => Promise.resolve(),
    dependencies: () => dependencies,
    background: async (work) => {
      background.add(work);
      void work.finally(() => background.delete(work));
    },
  });
  const scan = scanFunction(hostOf(wired.scan));
  const renew = renewFunction(hostOf(wired.renew));
  const rotate = rotateFunction(hostOf(wired.rotate));
  const notify = notifyFunction(hostOf(wired.notify));
  const fetch = fetchFunction(hostOf(wired.fetch));
  const manage = manageFunction(hostOf(wired.manage));
  bus.connect('renew', (event) => renew(event, localContext('renew')));
  bus.connect('rotate', (event) => rotate(event, localContext('rotate')));
  bus.connect('notify', (event) => notify(event, localContext('notify')));
  const health = { scannedAt: 0, failing: false, triedAt: Date.now(), stopping: false };
  const { scanIntervalMs } = config;
  const ownRoutes = routed(processRoutes({ health, scanIntervalMs, now: Date.now, metrics }));
  const own: HttpHandler = (event) => ownRoutes(event, localContext('process'));
  const http = await startHttpServer(config.listen, [
    { prefix: '/healthz', handler: own },
    { prefix: '/livez', handler: own },
    { prefix: '/readyz', handler: own },
    { prefix: '/metrics', handler: own },
    { prefix: '/openapi.json', handler: (event) => manage(event, localContext('manage')) },
    { prefix: '/v1/managed', handler: (event) => manage(event, localContext('manage')) },
    { prefix: '/v1/subscriptions', handler: (event) => manage(event, localContext('manage')) },
    { prefix: '/v1/schemas', handler: (event) => manage(event, localContext('manage')) },
    // Acknowledgements; secrets themselves are only ever read, by fetch.
    { prefix: '/v1/secrets', method: 'POST', handler: (event) => manage(event, localContext('manage')) },
    { prefix: '/v1', handler: (event) => fetch(event, localContext('fetch')) },
  ]);
  const schedule = startSchedule(config.scanIntervalMs, async () => {
    try {
      // Apart from the call below: an argument of a call that is not made is not evaluated.
      const report = await scan({}, localContext('scan'));
      options.onScan?.(report);
      Object.assign(health, { scannedAt: Date.now(), failing: false });
    } catch (err) {
      health.failing = true;
      logger.error({ err }, 'scan failed');
    } finally {
      health.triedAt = Date.now();
    }
  });
  return {
    address: http.address,
    close: async () => {
      health.stopping = true;
      await schedule.close();
      await http.close();
      await bus.close();
      await Promise.all(background);
      await wired.notify.sender.close();
      await Promise.all(Object.values(wired).map(({ session }) => giveBack(session, logger)));
      await client.close();
    },
  };
}

/** A token that cannot be given back ends by itself; that is worth a line, no more. */
async function giveBack(session: { close(): Promise<void> }, logger: Logger): Promise<void> {
  await session.close().catch((err: unknown) => logger.warn({ err }, 'token not revoked'));
}

/** Runs `work` now and then every `intervalMs`, never twice at once. */
function startSchedule(intervalMs: number, work: () => Promise<void>): { close(): Promise<void> } {
  const stopped = new AbortController();
  const loop = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      const next = Date.now() + intervalMs;
      await work();
      await sleep(Math.max(0, next - Date.now()), undefined, { signal: stopped.signal }).catch(() => {});
    }
  };
  const running = loop();
  return {
    close: () => {
      stopped.abort();
      return running;
    },
  };
}
