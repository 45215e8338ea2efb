import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { readConfig } from '../../../lib/host/config.ts';
import { FUNCTIONS, type FunctionName } from '../../../lib/host/identities.ts';
import { root } from '../../serverless/deployment.ts';
import { packageOffline, type Template } from './packaged.ts';

const functionSchema = z.object({
  Handler: z.string(),
  Runtime: z.string(),
  Architectures: z.array(z.string()),
  Role: z.unknown(),
  Environment: z.object({ Variables: z.record(z.string(), z.unknown()) }),
  ReservedConcurrentExecutions: z.number().optional(),
});

let folder = '';
let template: Template;
const of = (type: string) =>
  Object.entries(template.Resources).flatMap(([id, { Type, Properties }]) =>
    Type === type ? [{ id, properties: Properties }] : [],
  );
const capitalized = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);
const functionOf = (name: FunctionName) =>
  functionSchema.parse(template.Resources[`${capitalized(name)}LambdaFunction`]?.Properties);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-package-'));
  template = await packageOffline({ folder: root, out: path.join(folder, 'out'), stage: 'test' });
}, 240_000);
afterAll(async () => rm(folder, { recursive: true, force: true }));

describe('the package, made without account and network', () => {
  it('has a zip for each function, with its bundle and nothing else', async () => {
    const files = await readdir(path.join(folder, 'out'));
    const zips = files.filter((file) => file.endsWith('.zip')).toSorted();
    expect(zips).toEqual(FUNCTIONS.map((name) => `${name}.zip`).toSorted());
    for (const name of FUNCTIONS) {
      const zip = await readFile(path.join(folder, 'out', `${name}.zip`));
      const bundled = await readdir(path.join(root, 'dist/bundles', name));
      const loaded = bundled.filter((file) => !file.endsWith('.map'));
      expect(loaded).toContain('index.mjs');
      expect(entriesIn(zip).toSorted()).toEqual(
        loaded.map((file) => `dist/bundles/${name}/${file}`).toSorted(),
      );
    }
  });

  it.each(FUNCTIONS)('has %s on arm64 and Node 24, in a role of its own', (name) => {
    expect(functionOf(name)).toMatchObject({
      Handler: `dist/bundles/${name}/index.handler`,
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      Role: { 'Fn::GetAtt': [`${capitalized(name)}Role`, 'Arn'] },
    });
  });

  it.each(FUNCTIONS)('gives %s an environment that its configuration accepts', (name) => {
    const set = Object.entries(functionOf(name).Environment.Variables);
    const variables = Object.fromEntries(
      set.map(([key, value]) => [key, typeof value === 'string' ? value : 'arn']),
    );
    const config = readConfig({ ...variables, AWS_REGION: 'eu-west-1' });
    expect(config.vaultAddress).toBe('https://vault.invalid:8200');
    expect(config.auth).toMatchObject({ parameter: `/leasekeeper/test/approle/${name}` });
  });

  it('has no role that all functions share', () => {
    const roles = of('AWS::IAM::Role').map(({ id }) => id);
    expect(roles.toSorted()).toEqual(
      [...FUNCTIONS.map((name) => `${capitalized(name)}Role`), 'ScheduleRole'].toSorted(),
    );
    expect(of('AWS::IAM::Policy')).toEqual([]);
    expect(of('AWS::IAM::ManagedPolicy')).toEqual([]);
  });

  it('lets each function write the log that is made for it', () => {
    for (const name of FUNCTIONS) {
      const group = `/aws/lambda/leasekeeper-test-${name}`;
      expect(template.Resources[`${capitalized(name)}LogGroup`]?.Properties).toMatchObject({
        LogGroupName: group,
        RetentionInDays: 30,
      });
      const role = JSON.stringify(template.Resources[`${capitalized(name)}Role`]);
      expect(role).toContain(`log-group:${group}:log-stream:*`);
    }
  });

  it('has each queue at its function, with failures told by message', () => {
    const sources = of('AWS::Lambda::EventSourceMapping').map(({ properties }) => properties);
    expect(sources).toHaveLength(3);
    for (const worker of ['Renew', 'Rotate', 'Notify']) {
      expect(sources).toContainEqual(
        expect.objectContaining({
          EventSourceArn: { 'Fn::GetAtt': [`${worker}Queue`, 'Arn'] },
          FunctionName: { 'Fn::GetAtt': [`${worker}LambdaFunction`, 'Arn'] },
          FunctionResponseTypes: ['ReportBatchItemFailures'],
        }),
      );
    }
  });

  it('has the routes, and one scan at a time', () => {
    const routes = of('AWS::ApiGatewayV2::Route').map(({ properties }) => properties.RouteKey);
    expect(routes.toSorted()).toEqual([
      'DELETE /v1/managed/{name}',
      'DELETE /v1/subscriptions/{id}',
      'GET /openapi.json',
      'GET /v1/managed',
      'GET /v1/managed/{name}',
      'GET /v1/schemas',
      'GET /v1/schemas/{type}',
      'GET /v1/secrets/{proxy+}',
      'GET /v1/subscriptions',
      'GET /v1/subscriptions/{id}',
      'GET /v1/subscriptions/{id}/notices',
      'PATCH /v1/subscriptions/{id}',
      'POST /v1/leases',
      'POST /v1/leases/batch',
      'POST /v1/leases/renew',
      'POST /v1/leases/revoke',
      'POST /v1/managed/{name}/pause',
      'POST /v1/managed/{name}/resume',
      'POST /v1/managed/{name}/rotate',
      'POST /v1/secrets/{name}/acks',
      'POST /v1/subscriptions',
      'POST /v1/subscriptions/{id}/disable',
      'POST /v1/subscriptions/{id}/enable',
      'POST /v1/subscriptions/{id}/replay',
      'POST /v1/subscriptions/{id}/rotate-secret',
      'POST /v1/subscriptions/{id}/test',
      'PUT /v1/managed/{name}',
      'PUT /v1/managed/{name}/value',
    ]);
    expect(functionOf('scan').ReservedConcurrentExecutions).toBe(1);
    expect(of('AWS::Scheduler::Schedule').map(({ properties }) => properties.ScheduleExpression)).toEqual([
      'rate(1 minute)',
    ]);
  });

  it('names nothing that it does not have', () => {
    const known = new Set(Object.keys(template.Resources));
    const text = JSON.stringify(template);
    const named = [...text.matchAll(/"(?:Fn::GetAtt":\[|Ref":)"([^"]+)"/g)].map(([, id]) => id ?? '');
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((id) => !id.startsWith('AWS::') && !known.has(id))).toEqual([]);
  });
});

/** The names in the central directory of a zip file (PKWARE APPNOTE.TXT, 4.3.12). */
function entriesIn(zip: Buffer): string[] {
  const names: string[] = [];
  for (let at = zip.indexOf('PK\x01\x02'); at !== -1; at = zip.indexOf('PK\x01\x02', at + 46)) {
    names.push(zip.toString('utf8', at + 46, at + 46 + zip.readUInt16LE(at + 28)));
  }
  return names;
}
