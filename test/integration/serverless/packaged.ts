import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';
import { root, serverless } from '../../serverless/deployment.ts';
import { copyProject } from '../../support/project-copy.ts';

const run = promisify(execFile);

/** Nothing listens there: whoever wants the network does not get it. */
const NOWHERE = 'http://127.0.0.1:1';
const PROXIES = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'];

const resourceSchema = z.object({ Type: z.string(), Properties: z.record(z.string(), z.unknown()) });
const templateSchema = z.object({
  Resources: z.record(z.string(), resourceSchema),
  Outputs: z.record(z.string(), z.object({ Value: z.unknown() })),
});
export type Template = z.infer<typeof templateSchema>;

export interface PackageOptions {
  /** Where serverless.yml is. */
  readonly folder: string;
  /** Where the package is written, and whatever the framework keeps for itself. */
  readonly out: string;
  readonly stage: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** `serverless package`, as from a machine that has no AWS account, no settings and no network. Gives the template. */
export async function packageOffline({ folder, out, stage, params = {}, env = {} }: PackageOptions) {
  await mkdir(out, { recursive: true });
  const cli = path.join(root, 'node_modules/serverless/bin/serverless.js');
  const given = Object.entries(params).map(([name, value]) => `--param=${name}=${value}`);
  await run(process.execPath, [cli, 'package', '--stage', stage, '--package', out, ...given], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: out,
      TMPDIR: out,
      AWS_ENDPOINT_URL: NOWHERE,
      AWS_EC2_METADATA_DISABLED: 'true',
      ...Object.fromEntries(PROXIES.map((name) => [name, NOWHERE])),
      ...env,
    },
  });
  return templateSchema.parse(JSON.parse(await readFile(templateIn(out), 'utf8')));
}

/** The file of a package that CloudFormation is given. */
export function templateIn(out: string): string {
  return path.join(out, 'cloudformation-template-update-stack.json');
}

/**
 * What the template is made of, in a folder of its own: serverless.yml and aws/, and for each function an empty file in place of its bundle. Bundling
 * takes longer than all the rest, clears the folder of the bundles for whoever packages at the same time, and changes no template.
 */
export async function copyOfStack(): Promise<AsyncDisposable & { readonly folder: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-stack-'));
  const write = async (file: string) => {
    await mkdir(path.join(folder, path.dirname(file)), { recursive: true });
    await writeFile(path.join(folder, file), '');
  };
  await copyProject(folder, ['serverless.yml', 'package.json', 'aws']);
  await write('scripts/bundle.mjs');
  for (const { handler } of Object.values(serverless.functions)) {
    await write(handler.replace(/\.handler$/, '.mjs'));
  }
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** The properties of every resource of one type, by logical id, in the form that a schema gives them. */
export function resourcesIn<T extends z.ZodType>(
  template: Template,
  type: string,
  schema: T,
): ReadonlyMap<string, z.infer<T>> {
  const found = Object.entries(template.Resources).filter(([, { Type }]) => Type === type);
  return new Map(found.map(([id, { Properties }]) => [id, schema.parse(Properties)]));
}

/** `RenewQueue` where a value is the ARN of that resource; a name of CloudFormation's for an address stays as it is written. */
export const arnOf = z
  .union([
    z.object({ 'Fn::GetAtt': z.tuple([z.string(), z.literal('Arn')]) }),
    z.object({ 'Fn::Sub': z.string() }),
    z.string(),
  ])
  .transform((value) => {
    if (typeof value === 'string') return value;
    return 'Fn::GetAtt' in value ? value['Fn::GetAtt'][0] : value['Fn::Sub'];
  });
