import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Book } from '../../agenda/book.ts';
import { ROTATIONS } from '../../agenda/hint.ts';
import { ManagedSecrets } from '../../rotation/managed-secrets.ts';
import { type SpecificationInput, specificationSchema } from '../../rotation/specification.ts';
import { Secret } from '../../telemetry/secret.ts';
import { actingWith } from '../../vault/acting-with.ts';
import { joinPath, within } from '../../vault/addressing.ts';
import type { VaultClient } from '../../vault/client.ts';
import { KvStore } from '../../vault/kv-store.ts';
import { Mounts } from '../../vault/mounts.ts';
import { applyPlan, type StepReport } from '../setup/apply-plan.ts';
import { DEFAULT_SHARDS, DEFAULT_STATE } from '../setup/options.ts';
import { planSetup } from '../setup/plan.ts';
import { readPolicyFile, readPolicyTemplates } from '../setup/policy-files.ts';
import { renderPolicy } from '../setup/render-policy.ts';
import { resolveManaged } from '../setup/resolve.ts';
import { planSample, SAMPLE_CONSUMERS, type SamplePostgres } from './sample-plan.ts';
import { DEFAULT_AUDIENCE } from './token-review.ts';

export interface SampleOptions {
  /** Of a Vault that belongs to the sample alone: what differs there is put right. */
  readonly client: VaultClient;
  readonly rootToken: Secret;
  readonly postgres: SamplePostgres;
  readonly tokenReviewUrl: string;
  /** `lotabots`, as a full path. */
  readonly namespace?: string;
  readonly authNamespace?: string;
  /** The state mount as a full path. */
  readonly state?: string;
  /** Seconds. Short by default, so that renewals and the end of a life are seen within minutes. */
  readonly databaseTtlSeconds?: number;
  readonly databaseMaxTtlSeconds?: number;
  readonly consumerTokenTtlSeconds?: number;
  /** When the two managed secrets rotate, as Vault writes durations. */
  readonly rotation?: { readonly every: string; readonly grace: string; readonly deadline: string };
  /** Writes who is to be told. Called at every start, with the state mount, acting as root. */
  readonly writeSubscriptions?: (store: KvStore) => Promise<void>;
}

/** What a start found and made. */
export interface SampleReport {
  readonly steps: readonly StepReport[];
  /** Managed secrets whose specification was written. */
  readonly applied: readonly string[];
}

const DEFAULT_ROTATION = { every: '30s', grace: '10s', deadline: '20s' };
const APPROLE_MOUNT = 'approle';

/** The mounts, identities, secrets and managed secrets of the local sample. A second start with the same options writes nothing. */
export async function setUpSample(options: SampleOptions): Promise<SampleReport> {
  const vault = actingWith(options.client, options.rootToken);
  const { namespace = 'lotabots', authNamespace = '' } = options;
  const state = options.state ?? joinPath(authNamespace, DEFAULT_STATE);
  const specifications = sampleSpecifications(options);
  const sample = planSample({
    ...options,
    namespace,
    authNamespace,
    audience: DEFAULT_AUDIENCE,
    databaseTtlSeconds: options.databaseTtlSeconds ?? 45,
    databaseMaxTtlSeconds: options.databaseMaxTtlSeconds ?? 600,
    consumerTokenTtlSeconds: options.consumerTokenTtlSeconds ?? 3_600,
    nvidiaApiKey: new Secret(`nvapi-${randomBytes(32).toString('base64url')}`),
    policies: await samplePolicies(namespace, authNamespace),
  });
  const made = await applyPlan(vault, sample, { update: true });
  // Where managed secrets are issued and published is asked of Vault, as `leasekeeper setup` does: the mounts are there now.
  const mounts = new Mounts(vault, authNamespace);
  const managed = await Promise.all(
    specifications.map((input) => resolveManaged(mounts, namespace, specificationSchema.parse(input))),
  );
  const system = planSetup({
    namespace,
    authNamespace,
    layout: 'prefix',
    state,
    maxVersions: 4,
    shards: DEFAULT_SHARDS,
    tokenTtlSeconds: 3_600,
    appRole: { mount: APPROLE_MOUNT, secretIdTtlSeconds: 0 },
    managed,
    consumers: Object.keys(SAMPLE_CONSUMERS),
    templates: await readPolicyTemplates(),
  });
  const steps = [...made, ...(await applyPlan(vault, system, { update: true }))];
  const store = new KvStore(vault, state);
  const applied = await applySpecifications(options.client, store, specifications);
  await options.writeSubscriptions?.(store);
  return { steps, applied };
}

/** The services' own policies stand as they are; what they lack follows the namespace. */
async function samplePolicies(namespace: string, authNamespace: string) {
  const [inference, gateway, database] = await Promise.all([
    readPolicyFile('inference-service'),
    readPolicyFile('api-gateway'),
    readPolicyFile('api-gateway-database'),
  ]);
  return {
    'inference-service': inference,
    'api-gateway': gateway,
    'api-gateway-database': renderPolicy(database, { namespace: within(authNamespace, namespace) }),
  };
}

function sampleSpecifications(options: SampleOptions): readonly SpecificationInput[] {
  const { host, port, database } = options.postgres;
  const { every, grace, deadline } = options.rotation ?? DEFAULT_ROTATION;
  const common = {
    kind: 'lease',
    schedule: { every },
    grace,
    deadline,
    test: { kind: 'postgres', host, port, database, tls: false },
  } as const;
  return [
    {
      ...common,
      name: 'api-gateway-database',
      source: 'database/creds/api-gateway',
      publish: 'api-gateway/database',
      token_role: 'leasekeeper-api-gateway-database',
      consumers: ['api-gateway'],
    },
    {
      ...common,
      name: 'model-credentials',
      source: 'database/creds/model-store',
      publish: 'inference-service/model-credentials',
      token_role: 'leasekeeper-model-credentials',
      consumers: ['inference-service'],
    },
  ];
}

/** A specification that is there as it should be is not written again. */
async function applySpecifications(
  client: VaultClient,
  store: KvStore,
  specifications: readonly SpecificationInput[],
): Promise<readonly string[]> {
  const now = () => client.now();
  const book = new Book({ kind: ROTATIONS, store, now, random: Math.random });
  const secrets = new ManagedSecrets({ store, book, now });
  const applied: string[] = [];
  for (const specification of specifications) {
    const existing = await secrets.read(specification.name);
    if (existing !== undefined && isDeepStrictEqual(existing.input, specification)) continue;
    await secrets.apply(specification);
    applied.push(specification.name);
  }
  return applied;
}
