import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import * as z from 'zod';
import { type DoctorFlags, diagnose } from '../../../lib/cli/doctor-command.ts';
import { type ServiceAccount, startTokenReview } from '../../../lib/host/local/token-review.ts';
import { type Admin, admin, uniqueName } from '../../support/admin.ts';

/** In KV; never to be seen in what the doctor says. */
export const CANARY = 'value-canary-77f1';
const OPERATOR_HOME = 'operator';

const findingsSchema = z.array(
  z.object({
    id: z.string(),
    title: z.string(),
    verdict: z.enum(['fine', 'wrong', 'unknown']),
    what: z.string(),
    mend: z.array(z.string()),
  }),
);
export type Told = z.infer<typeof findingsSchema>[number];

export interface Diagnosis {
  readonly code: number;
  readonly findings: readonly Told[];
  readonly of: (id: string) => Told;
  /** Ids of what is wrong. */
  readonly wrong: readonly string[];
}

/** How one run differs from that of a healthy service. */
export interface Run extends Partial<DoctorFlags> {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly now?: () => number;
}

/** A service as its document has it, in a Vault of its own namespace; its mounts begin with VAULT_NAMESPACE. */
export interface DoctorWorld {
  readonly admin: Admin;
  /** Where it logs in and has its policies. */
  readonly authNamespace: string;
  readonly folder: string;
  /** As the doctor runs by default. */
  readonly tokenFile: string;
  /** Writes a service account's token to a file. */
  sign(name: string, account?: Partial<ServiceAccount>): Promise<string>;
  diagnose(run?: Run): Promise<Diagnosis>;
  /** What a person sees. */
  printed(run?: Run): Promise<string>;
  /** A command as the doctor names it, run by a shell, with Vault's own client and an administrator's rights. */
  mend(commands: readonly string[]): Promise<void>;
  setRole(fields?: Readonly<Record<string, unknown>>): Promise<void>;
  setPolicy(text?: string): Promise<void>;
  /** Everything that was said so far, and what must not be in it. */
  readonly said: string[];
  readonly secrets: string[];
  close(): Promise<void>;
}

const seed = readFileSync(
  path.resolve(import.meta.dirname, '../../../vault/policies/inference-service.hcl'),
  'utf8',
);

/** What the services ask for. */
export const USUAL = {
  secret: ['nvidia/api-key', 'shared/token'],
  dynamic: ['inference-service/model-credentials'],
};

/** The rights of an operator, in the environment. */
export function operatorOf({ admin: { rootToken } }: DoctorWorld) {
  return { env: { LEASEKEEPER_OPERATOR_TOKEN: rootToken } };
}

export async function createDoctorWorld(): Promise<DoctorWorld> {
  const shared = admin(inject);
  const { request, address, rootToken } = shared;
  const authNamespace = uniqueName('doctor');
  const namespace = `${authNamespace}/lotabots`;
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-doctor-'));
  const reviews = await startTokenReview({ dataDir: path.join(folder, 'reviews') });
  const at = (path: string) => `${authNamespace}/${path}`;
  await request('POST', `sys/namespaces/${authNamespace}`, {});
  await request('POST', at('sys/auth/kubernetes'), { type: 'kubernetes' });
  await request('POST', at('auth/kubernetes/config'), {
    kubernetes_host: reviews.url,
    kubernetes_ca_cert: 'none',
    disable_local_ca_jwt: true,
  });
  for (const mount of ['nvidia', 'shared', 'inference-service']) {
    await request('POST', at(`sys/mounts/lotabots/${mount}`), { type: 'kv', options: { version: '2' } });
  }
  await request('POST', at('sys/mounts/lotabots/old'), { type: 'kv', options: { version: '1' } });
  await mountDatabase(shared, authNamespace);
  for (const secret of [
    'nvidia/data/api-key',
    'shared/data/token',
    'inference-service/data/model-credentials',
  ])
    await request('POST', `${namespace}/${secret}`, { data: { api_key: CANARY } });
  await request('POST', `${namespace}/old/key`, { api_key: CANARY });
  await symlink(inject('binaries').openbao, path.join(folder, 'vault'));

  const said: string[] = [];
  const secrets = [CANARY, rootToken];
  const sign = async (name: string, account: Partial<ServiceAccount> = {}) => {
    const token = await reviews.sign({ namespace: 'lotabots', name: 'inference-service', ...account });
    secrets.push(token.expose());
    const file = path.join(folder, name);
    await writeFile(file, token.expose());
    return file;
  };
  const tokenFile = await sign('token');
  const run = async ({ env, now, ...flags }: Run) => {
    const out: string[] = [];
    const environment = {
      VAULT_ADDR: address,
      VAULT_NAMESPACE: namespace,
      VAULT_AUTH_NAMESPACE: authNamespace,
    };
    const io = {
      environment: { ...environment, ...env },
      out: (text: string) => out.push(text),
      error: (text: string) => out.push(text),
    };
    const all = {
      secret: [],
      dynamic: [],
      issue: false,
      json: true,
      serviceAccountToken: tokenFile,
      ...flags,
    };
    const code = await diagnose(io, all, now);
    said.push(...out);
    return { code, text: out.join('\n') };
  };
  const setPolicy = async (text = seed) => {
    await request('PUT', at('sys/policies/acl/inference-service'), { policy: text });
  };
  const setRole = async (fields: Readonly<Record<string, unknown>> = {}) => {
    await request('POST', at('auth/kubernetes/role/inference-service'), {
      bound_service_account_names: ['inference-service'],
      bound_service_account_namespaces: ['lotabots'],
      audience: 'vault',
      token_policies: ['inference-service'],
      token_ttl: 3_600,
      token_max_ttl: 0,
      token_num_uses: 0,
      token_type: 'default',
      token_no_default_policy: false,
      ...fields,
    });
  };
  await setPolicy();
  await setRole();
  return {
    admin: shared,
    authNamespace,
    folder,
    tokenFile,
    sign,
    setPolicy,
    setRole,
    said,
    secrets,
    diagnose: async (options = {}) => diagnosisOf(await run(options)),
    printed: async (options = {}) => (await run({ ...options, json: false })).text,
    mend: async (commands) => {
      for (const command of commands) {
        await promisify(execFile)('sh', ['-c', command], {
          cwd: folder,
          env: {
            PATH: `${folder}:${process.env.PATH ?? ''}`,
            HOME: path.join(folder, OPERATOR_HOME),
            VAULT_ADDR: address,
            VAULT_TOKEN: rootToken,
          },
        });
      }
    },
    close: async () => {
      await reviews.stop();
      await rm(folder, { recursive: true });
    },
  };
}

function diagnosisOf({ code, text }: { code: number; text: string }): Diagnosis {
  const findings = findingsSchema.parse(JSON.parse(text));
  return {
    code,
    findings,
    of: (id) => {
      const found = findings.find((one) => one.id === id);
      if (found === undefined) throw new Error(`nothing was said of ${id}`);
      return found;
    },
    wrong: findings.filter(({ verdict }) => verdict === 'wrong').map(({ id }) => id),
  };
}

async function mountDatabase({ request }: Admin, authNamespace: string): Promise<void> {
  const { host, port, user, password, database } = inject('postgres');
  await request('POST', `${authNamespace}/sys/mounts/lotabots/database`, { type: 'database' });
  const mount = `${authNamespace}/lotabots/database`;
  await request('POST', `${mount}/config/postgres`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: ['*'],
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}?sslmode=disable`,
    username: user,
    password,
  });
  await request('POST', `${mount}/roles/model-store`, {
    db_name: 'postgres',
    creation_statements: [
      `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
    ],
    default_ttl: 600,
    max_ttl: 3_600,
  });
}
