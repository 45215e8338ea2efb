import { createAudit } from '../telemetry/audit.ts';
import { createEmfMetrics } from '../telemetry/emf-metrics.ts';
import { createLogger } from '../telemetry/log.ts';
import { VaultClient } from '../vault/client.ts';
import { createTransport } from '../vault/transport.ts';
import { type Environment, metricsNamespace, readConfig, traceHeader } from './config.ts';
import { countExchanges } from './exchange-metrics.ts';
import type { BackgroundHost } from './function-host.ts';
import { type FunctionName, identityOf } from './identities.ts';
import type { Parts } from './wire.ts';

/** A few connections are plenty: a function works on one batch at a time, and there may be many of it. */
const CONNECTIONS = 8;

/**
 * The host of a function on AWS Lambda. Nothing but the namespace of its metrics is read, and nothing connected, before the first
 * invocation, so that a fault in the configuration is an error of that invocation, with a log line. The login is kept by warm invocations.
 */
export function onLambda<Dependencies>(
  name: FunctionName,
  wire: (parts: Omit<Parts, 'bus'>) => Dependencies,
  environment?: Environment,
): BackgroundHost<Dependencies> {
  const logger = createLogger({ level: 'info', name: `leasekeeper-${name}` });
  const metrics = createEmfMetrics({ service: name, namespace: metricsNamespace(environment) });
  let kept: Dependencies | undefined;
  return {
    logger,
    now: Date.now,
    flushMetrics: () => metrics.flush(),
    traceHeader: () => traceHeader(environment),
    background: (work) => work,
    dependencies: () => {
      kept ??= wire(partsOf());
      return kept;
    },
  };

  function partsOf(): Omit<Parts, 'bus'> {
    const config = readConfig(environment);
    logger.level = config.logLevel;
    const { vaultAddress: address, ca } = config;
    const transport = createTransport({
      address,
      connections: CONNECTIONS,
      ...(ca === undefined ? {} : { ca }),
    });
    return {
      config,
      client: new VaultClient({ transport, onExchange: countExchanges(metrics) }),
      metrics,
      logger,
      audit: createAudit({ logger }),
      identityOf: (functionName) => identityOf(config, functionName),
      random: Math.random,
    };
  }
}
