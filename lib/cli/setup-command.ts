import path from 'node:path';
import { FUNCTIONS } from '../host/identities.ts';
import { writePrivateFile } from '../host/local/private-file.ts';
import { applyPlan, type StepReport } from '../host/setup/apply-plan.ts';
import { issueFunctionCredentials } from '../host/setup/function-credentials.ts';
import type { BookShards, Layout, ManagedAccess, SetupOptions } from '../host/setup/options.ts';
import { planSetup } from '../host/setup/plan.ts';
import { readPolicyTemplates } from '../host/setup/policy-files.ts';
import { printPlan } from '../host/setup/print-plan.ts';
import { detectLayout, requireKubernetesMount, resolveManaged } from '../host/setup/resolve.ts';
import type { Vault } from '../vault/client.ts';
import { Mounts } from '../vault/mounts.ts';
import { withVault } from './connection.ts';
import { readVaultEnvironment, type VaultEnvironment } from './environment.ts';
import { type CliIo, EXIT } from './io.ts';
import { readSpecifications } from './specification-file.ts';

/** What a person asks of `leasekeeper setup`, parsed. */
export interface SetupRequest {
  readonly print: boolean;
  readonly update: boolean;
  readonly layout: Layout | 'auto';
  readonly shards: BookShards;
  readonly maxVersions: number;
  readonly tokenTtlSeconds: number;
  /** An AppRole mount; undefined: no AppRole identities. */
  readonly appRole: string | undefined;
  readonly secretIdTtlSeconds: number;
  /** Where to write new AppRole credentials of every function. */
  readonly appRoleFile: string | undefined;
  /** A configured kubernetes auth method; undefined: no Kubernetes identities. */
  readonly kubernetes: string | undefined;
  readonly serviceAccountNamespace: string;
  /** The one that all functions share; undefined: one for each. */
  readonly serviceAccount: string | undefined;
  readonly audience: string | undefined;
  /** Files of managed secrets to prepare for. */
  readonly managed: readonly string[];
}

/** Prepares a Vault, or prints how. Exit code 3: something differs and was left. */
export async function setUp(io: CliIo, request: SetupRequest): Promise<number> {
  const environment = await readVaultEnvironment(io.environment);
  if (request.print && needsNoVault(environment, request)) {
    io.out(printPlan(planSetup(await offlineOptions(environment, request))));
    return 0;
  }
  return withVault(environment, async ({ vault }) => {
    const options = await resolvedOptions(vault, environment, request);
    const steps = planSetup(options);
    if (request.print) {
      io.out(printPlan(steps));
      return 0;
    }
    const reports = await applyPlan(vault, steps, {
      update: request.update,
      onStep: (report) => tell(io, report),
    });
    if (request.appRoleFile !== undefined && request.appRole !== undefined) {
      await writeCredentials(io, vault, options, request.appRole, request.appRoleFile);
    }
    return conclude(io, reports, request.update);
  });
}

/** Whether everything that Vault would be asked is already said. */
function needsNoVault({ namespace, authNamespace }: VaultEnvironment, request: SetupRequest): boolean {
  const layoutKnown = request.layout !== 'auto' || namespace === authNamespace;
  return layoutKnown && request.managed.length === 0;
}

async function offlineOptions(environment: VaultEnvironment, request: SetupRequest): Promise<SetupOptions> {
  return optionsOf(environment, request, request.layout === 'auto' ? 'prefix' : request.layout, []);
}

async function resolvedOptions(
  vault: Vault,
  environment: VaultEnvironment,
  request: SetupRequest,
): Promise<SetupOptions> {
  const { namespace, authNamespace } = environment;
  const layout =
    request.layout === 'auto' ? await detectLayout(vault, namespace, authNamespace) : request.layout;
  if (request.kubernetes !== undefined)
    await requireKubernetesMount(vault, authNamespace, request.kubernetes);
  // A namespace's own endpoint knows its mounts by the paths within.
  const mounts = new Mounts(vault, layout === 'namespace' ? namespace : authNamespace);
  const managed: ManagedAccess[] = [];
  for (const file of request.managed) {
    for (const { spec } of await readSpecifications(file)) {
      managed.push(await resolveManaged(mounts, namespace, spec));
    }
  }
  return optionsOf(environment, request, layout, managed);
}

async function optionsOf(
  environment: VaultEnvironment,
  request: SetupRequest,
  layout: Layout,
  managed: readonly ManagedAccess[],
): Promise<SetupOptions> {
  const { shards, maxVersions, tokenTtlSeconds, appRole, secretIdTtlSeconds, kubernetes } = request;
  const { namespace, authNamespace, state } = environment;
  return {
    namespace,
    authNamespace,
    state,
    layout,
    shards,
    maxVersions,
    tokenTtlSeconds,
    managed,
    templates: await readPolicyTemplates(),
    ...(appRole === undefined ? {} : { appRole: { mount: appRole, secretIdTtlSeconds } }),
    ...(kubernetes === undefined
      ? {}
      : {
          kubernetes: {
            mount: kubernetes,
            serviceAccountNamespace: request.serviceAccountNamespace,
            ...(request.serviceAccount === undefined ? {} : { serviceAccount: request.serviceAccount }),
            ...(request.audience === undefined ? {} : { audience: request.audience }),
          },
        }),
  };
}

function tell(io: CliIo, { title, outcome, differences }: StepReport): void {
  io.out(`${outcome.padEnd(9)}  ${title}`);
  for (const { field, there, wanted } of differences) {
    for (const line of differenceLines(field, there, wanted)) io.out(`           ${line}`);
  }
}

/** Long texts (policies) line by line: only what is in one and not in the other. */
function differenceLines(field: string, there: string, wanted: string): readonly string[] {
  if (!there.includes('\n') && !wanted.includes('\n')) return [`${field} is ${there}, not ${wanted}`];
  const lines = (text: string) => text.split('\n').filter((line) => line.trim() !== '');
  const [has, wants] = [lines(there), lines(wanted)];
  return [
    `${field}:`,
    ...has.filter((line) => !wants.includes(line)).map((line) => `  there:  ${line}`),
    ...wants.filter((line) => !has.includes(line)).map((line) => `  wanted: ${line}`),
  ];
}

/** The form that LEASEKEEPER_APPROLE_FILE names (lib/host/identities.ts). Mode 0600. */
async function writeCredentials(
  io: CliIo,
  vault: Vault,
  { authNamespace }: SetupOptions,
  mount: string,
  file: string,
): Promise<void> {
  const entries = await Promise.all(
    FUNCTIONS.map(async (name) => {
      const { roleId, secretId } = await issueFunctionCredentials(vault, { authNamespace, mount, name });
      return [name, { role_id: roleId, secret_id: secretId.expose() }] as const;
    }),
  );
  await writePrivateFile(path.resolve(file), `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`);
  io.out(`wrote      ${file}: set LEASEKEEPER_APPROLE_FILE to it`);
}

function conclude(io: CliIo, reports: readonly StepReport[], update: boolean): number {
  const count = (outcome: StepReport['outcome']) => reports.filter((one) => one.outcome === outcome).length;
  const different = reports.filter(({ outcome }) => outcome === 'different');
  io.out(
    `${count('made')} made, ${count('updated')} updated, ${count('there')} there already, ${different.length} different`,
  );
  if (different.length === 0) return 0;
  const mendable = !update && different.some(({ ours }) => ours);
  io.error(
    `leasekeeper: setup_differences: what differs was left as it is.\n  ${
      mendable
        ? '--update puts the leasekeeper-* objects right; see above what would change.'
        : 'They are not ours to change: make them equal by hand, or choose other names.'
    }`,
  );
  return EXIT.different;
}
