import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse, type ScalarTag } from 'yaml';
import * as z from 'zod';

export const root = path.dirname(path.dirname(import.meta.dirname));

const scalar = (tag: string, key: string, of: (text: string) => unknown = (text) => text): ScalarTag => ({
  tag,
  resolve: (text) => ({ [key]: of(text) }),
});

/** CloudFormation's short forms, as their long ones. */
const customTags = [
  scalar('!GetAtt', 'Fn::GetAtt', (text) => text.split('.')),
  scalar('!Ref', 'Ref'),
  scalar('!Sub', 'Fn::Sub'),
];

function read(file: string): unknown {
  return parse(readFileSync(path.join(root, file), 'utf8'), {
    customTags,
    merge: true,
    // The files are ours: alarms merge what they have in common a few dozen times.
    maxAliasCount: -1,
  });
}

const environmentSchema = z.record(z.string(), z.unknown());

const functionSchema = z.object({
  handler: z.string(),
  role: z.string(),
  timeout: z.number(),
  reservedConcurrency: z.string().optional(),
  maximumRetryAttempts: z.number().optional(),
  environment: environmentSchema,
  package: z.object({ patterns: z.array(z.string()) }),
  events: z
    .array(
      z.object({
        sqs: z
          .object({ arn: z.unknown(), functionResponseType: z.string(), maximumConcurrency: z.string() })
          .optional(),
        httpApi: z.string().optional(),
      }),
    )
    .default([]),
});

const paramsSchema = z.record(z.string(), z.union([z.string(), z.number()]));

const serverlessSchema = z.object({
  params: z.object({ default: paramsSchema }).catchall(paramsSchema),
  provider: z.object({
    runtime: z.string(),
    architecture: z.string(),
    logRetentionInDays: z.string(),
    tags: z.record(z.string(), z.string()),
    environment: environmentSchema,
  }),
  functions: z.record(z.string(), functionSchema),
  resources: z.array(z.string()),
});

const resourceSchema = z.object({ Type: z.string(), Properties: z.record(z.string(), z.unknown()) });
const partSchema = z.object({ Resources: z.record(z.string(), resourceSchema).default({}) });

export const serverless = serverlessSchema.parse(read('serverless.yml'));

/** Everything in the YAML files that serverless.yml includes, with its logical id. What is computed is seen in the packaged template alone. */
const resources = serverless.resources.flatMap((include) => {
  const [, file, kind] = /^\$\{file\(\.\/(.+\.(yml|cjs))\)(?::\w+)?\}$/.exec(include) ?? [];
  if (file === undefined) throw new Error(`Cannot tell what ${include} includes.`);
  return kind === 'yml' ? Object.entries(partSchema.parse(read(file)).Resources) : [];
});

/** The properties of every resource of one type, by logical id, in the form that a schema gives them. */
export function resourcesOf<T extends z.ZodType>(type: string, schema: T): ReadonlyMap<string, z.infer<T>> {
  const found = resources.filter(([, resource]) => resource.Type === type);
  return new Map(found.map(([id, { Properties }]) => [id, schema.parse(Properties)]));
}

const arnSchema = z.object({ 'Fn::GetAtt': z.tuple([z.string(), z.literal('Arn')]) });

/** The logical id of the resource whose ARN this is. */
export function idIn(arn: unknown): string {
  return arnSchema.parse(arn)['Fn::GetAtt'][0];
}

export const arn = arnSchema.transform((value) => value['Fn::GetAtt'][0]);
