import { codeOf } from '../errors.ts';
import { type Audit, type AuditInput, whoIs } from '../telemetry/audit.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AuthMethod } from '../vault/auth/login.ts';
import { VaultClient } from '../vault/client.ts';
import { KvStore } from '../vault/kv-store.ts';
import { Mounts } from '../vault/mounts.ts';
import type { RetryPolicy } from '../vault/retry.ts';
import { VaultSession } from '../vault/session.ts';
import { createTransport, type Transport } from '../vault/transport.ts';
import { AccessLog } from './access-log.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { authMethodOf, clientCertificateOf } from './auth-configuration.ts';
import { type Configuration, caCertificateOf } from './configuration.ts';
import { DynamicSecrets } from './dynamic-secrets.ts';
import { SecretsManagerEmitter } from './events.ts';
import { LeasesInVault } from './leases-in-vault.ts';
import { ParentTokens } from './parent-tokens.ts';
import { managerClosed } from './refusals.ts';
import { StaticSecrets } from './static-secrets.ts';

/** The parts that may be replaced. */
export interface SecretsManagerParts {
  /** A way to log in that the settings do not choose; they are then not looked at. */
  readonly auth?: AuthMethod;
  /**
   * Takes one line for each access: `createAudit({ logger: createLogger(…) })`. None is written when left out, because standard output
   * belongs to the service.
   */
  readonly audit?: Audit;
  /** How often one request is repeated. */
  readonly retry?: Partial<RetryPolicy>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly random?: () => number;
  readonly transport?: Transport;
}

export interface Assembled {
  readonly client: VaultClient;
  readonly session: VaultSession;
  readonly mounts: Mounts;
  readonly events: SecretsManagerEmitter;
  readonly accesses: AccessLog;
  /** Undefined where it is not configured. */
  readonly acknowledgements: Acknowledgements | undefined;
  readonly staticSecrets: StaticSecrets;
  readonly dynamicSecrets: DynamicSecrets;
  /** Whether Vault's last answer was one, and not a failure of its own; undefined before the first. */
  readonly isAnswering: () => boolean | undefined;
  /** From now on no login is made: its token would be left behind. */
  readonly stopLogins: () => void;
}

/** Builds what a SecretsManager consists of. Sends nothing. */
export function assemble(
  configuration: Configuration,
  metrics: Metrics,
  parts: SecretsManagerParts,
): Assembled {
  const { address, namespace, authNamespace, handlerTimeoutMs } = configuration;
  const { audit, retry, now = Date.now, random = Math.random } = parts;
  const ca = caCertificateOf(configuration);
  const clientCertificate = clientCertificateOf(configuration);
  const transport =
    parts.transport ??
    createTransport({
      address,
      ...(ca === undefined ? {} : { ca }),
      ...(clientCertificate === undefined ? {} : { clientCertificate }),
    });
  let answering: boolean | undefined;
  const client = new VaultClient({
    transport,
    now,
    random,
    onExchange: ({ status }) => {
      answering = status !== undefined && status < 500;
    },
    ...(retry === undefined ? {} : { retry }),
  });
  const events = new SecretsManagerEmitter(handlerTimeoutMs);
  const { method, stopLogins } = stoppable(parts.auth ?? authMethodOf(configuration));
  const session = new VaultSession({
    client,
    method,
    authNamespace,
    onLogin: (held) => parents.note(held),
    onAuthFailure: (error, name) => {
      metrics.increment('vault_auth_failures_total', { method: name, reason: codeOf(error) });
    },
  });
  const parents = new ParentTokens({
    client,
    session,
    authNamespace,
    ownTokens: method.given === undefined,
    now,
    onSuperseded: () => dynamicSecrets.plan(),
    onFault: (error) => void events.emit('fault', { operation: 'login', error }),
  });
  const who = (): AuditInput['who'] => ({
    ...(method.name === 'kubernetes' ? { role: configuration.role } : {}),
    ...whoIs(parents.holder),
  });
  const accesses = new AccessLog({ metrics, audit, who, now });
  const mounts = new Mounts(session, authNamespace);
  const leases = new LeasesInVault({ namespace, authNamespace, parents, accesses, metrics, now });
  const dynamicSecrets = new DynamicSecrets(configuration, { leases, parents, events, now, random });
  const { acknowledge } = configuration;
  const acknowledgements =
    acknowledge &&
    new Acknowledgements({
      store: new KvStore(session, acknowledge.stateMount),
      consumer: acknowledge.as,
      accesses,
      events,
      metrics,
    });
  const vault = session;
  const staticSecrets = new StaticSecrets(configuration, {
    vault,
    mounts,
    events,
    acknowledgements,
    now,
    random,
  });
  return {
    client,
    session,
    mounts,
    events,
    accesses,
    acknowledgements,
    staticSecrets,
    dynamicSecrets,
    isAnswering: () => answering,
    stopLogins,
  };
}

function stoppable(method: AuthMethod): { readonly method: AuthMethod; readonly stopLogins: () => void } {
  let stopped = false;
  return {
    method: {
      name: method.name,
      ...(method.given === undefined ? {} : { given: method.given }),
      login: async (client) => {
        if (stopped) throw managerClosed();
        return method.login(client);
      },
    },
    stopLogins: () => {
      stopped = true;
    },
  };
}
