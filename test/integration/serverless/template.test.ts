import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { readConfig, VARIABLES } from '../../../lib/host/config.ts';
import { FUNCTIONS, type FunctionName } from '../../../lib/host/identities.ts';
import { DETAIL_LABELS, definitions, isMetricName } from '../../../lib/telemetry/metric-names.ts';
import { anchorsOf, readProjectFile } from '../../docs/documents.ts';
import { type PythonProgram, pythonEnvironment } from '../../support/python-environment.ts';
import type { PythonMissing } from '../../support/python-package.ts';
import { arnOf, copyOfStack, packageOffline, resourcesIn, type Template, templateIn } from './packaged.ts';
import { expectedGrants, grantsIn, roleSchema, STARS } from './template-permissions.ts';

/** In the environment of whoever packages, where credentials often are. */
const CANARY = 'canary-of-the-shell';
const KEY = 'arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555';

/** Stages as there may be, so that every login and whatever can be left out is seen with and without. */
const STAGES = {
  test: {},
  prod: {
    vaultAuth: 'approle-secret',
    kmsKeyArn: KEY,
    vpcSubnetIds: 'subnet-0123456789abcdef0, subnet-0123456789abcdef1',
    vpcSecurityGroupIds: 'sg-0123456789abcdef0',
    alarmEmail: 'on-call@example.com',
    scanRate: 'rate(5 minutes)',
    scanInterval: '300',
  },
  small: {
    vaultAuth: 'aws-iam',
    iamServerId: 'vault.example.com',
    alarmTopicArn: 'arn:aws:sns:eu-central-1:123456789012:on-call',
    scanConcurrency: 'none',
    fetchConcurrency: 'none',
    manageConcurrency: 'none',
    archiveDays: '0',
    queryAlarms: 'false',
    logRetentionDays: '3',
    renewConcurrency: '8',
    httpRate: '20',
  },
  keyed: { kmsKeyArn: KEY, metricsNamespace: 'leasekeeper-keyed' },
  openbao: { vaultAuth: 'aws-web-identity', jwtAudience: 'https://vault.example.com', kmsKeyArn: KEY },
} as const satisfies Record<string, Record<string, string>>;
type Stage = keyof typeof STAGES;
const stages = Object.keys(STAGES) as Stage[];

const packaged = new Map<Stage, Template>();
let project: Awaited<ReturnType<typeof copyOfStack>>;
const outOf = (stage: string) => path.join(project.folder, 'out', stage);
const templateOf = (stage: Stage): Template => {
  const template = packaged.get(stage);
  if (template === undefined) throw new Error(`There is no template for ${stage}.`);
  return template;
};
const resources = <T extends z.ZodType>(stage: Stage, type: string, schema: T) =>
  resourcesIn(templateOf(stage), type, schema);
const capitalized = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

beforeAll(async () => {
  project = await copyOfStack();
  for (const stage of stages) {
    const env = { VAULT_TOKEN: CANARY, AWS_SECRET_ACCESS_KEY: CANARY, AWS_SESSION_TOKEN: CANARY };
    const options = { folder: project.folder, out: outOf(stage), stage, params: STAGES[stage], env };
    packaged.set(stage, await packageOffline(options));
  }
}, 240_000);
afterAll(async () => project[Symbol.asyncDispose]());

const functionSchema = z.object({
  FunctionName: z.string(),
  Role: arnOf,
  Environment: z.object({ Variables: z.record(z.string(), z.unknown()) }),
  ReservedConcurrentExecutions: z.number().optional(),
  VpcConfig: z.unknown().optional(),
  Layers: z.undefined().optional(),
  TracingConfig: z.undefined().optional(),
});
const functionsOf = (stage: Stage) => resources(stage, 'AWS::Lambda::Function', functionSchema);
const variablesOf = (stage: Stage, name: FunctionName) =>
  functionsOf(stage).get(`${capitalized(name)}LambdaFunction`)?.Environment.Variables ?? {};

describe.each(stages)('the roles in the template for the stage %s', (stage) => {
  const rolesOf = () => resources(stage, 'AWS::IAM::Role', roleSchema);

  it('are one for each function, and one for the schedule', () => {
    const used = FUNCTIONS.map((name) => [
      `${capitalized(name)}Role`,
      functionsOf(stage).get(`${capitalized(name)}LambdaFunction`)?.Role,
    ]);
    expect(used.filter(([own, role]) => own !== role)).toEqual([]);
    expect([...rolesOf().keys()].toSorted()).toEqual(
      [...used.map(([own]) => own), 'ScheduleRole'].toSorted(),
    );
    for (const type of ['AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy', 'AWS::IAM::RolePolicy'])
      expect(resources(stage, type, z.unknown()).size).toBe(0);
  });

  it.each(FUNCTIONS)('let %s do exactly its work', (name) => {
    const granted = grantsIn(rolesOf().get(`${capitalized(name)}Role`));
    expect(granted.toSorted()).toEqual(expectedGrants(name, stage, STAGES[stage]).toSorted());
  });

  it('let the schedule start scan and keep what it could not start', () => {
    expect(grantsIn(rolesOf().get('ScheduleRole'))).toEqual([
      'lambda:InvokeFunction on ScanLambdaFunction',
      'sqs:SendMessage on ScheduleDeadLetters',
    ]);
  });

  it('have a star only where AWS leaves nothing else', () => {
    const starred = [...rolesOf().values()].flatMap(grantsIn).filter((grant) => grant.includes('*'));
    expect(starred.length).toBeGreaterThan(0);
    const unexpected = starred.filter((grant) => !STARS.some(({ pattern }) => pattern.test(grant)));
    expect(unexpected).toEqual([]);
  });

  it('can be taken on by one service each', () => {
    for (const [id, { AssumeRolePolicyDocument }] of rolesOf()) {
      const service = id === 'ScheduleRole' ? 'scheduler' : 'lambda';
      expect(AssumeRolePolicyDocument.Statement).toMatchObject([
        { Effect: 'Allow', Principal: { Service: `${service}.amazonaws.com` }, Action: 'sts:AssumeRole' },
      ]);
    }
  });

  it('have names that Vault can be told before there is a stack', () => {
    for (const name of FUNCTIONS) {
      const { RoleName } = rolesOf().get(`${capitalized(name)}Role`) ?? {};
      expect(RoleName).toEqual({ 'Fn::Sub': `leasekeeper-${stage}-\${AWS::Region}-${name}` });
      expect(templateOf(stage).Outputs[`${capitalized(name)}RoleArn`]?.Value).toEqual({
        'Fn::GetAtt': [`${capitalized(name)}Role`, 'Arn'],
      });
    }
  });
});

describe.each(stages)('the functions in the template for the stage %s', (stage) => {
  it.each(FUNCTIONS)('give %s only variables that the configuration reads, and accepts', (name) => {
    const variables = variablesOf(stage, name);
    expect(Object.keys(variables).filter((variable) => !VARIABLES.includes(variable))).toEqual([]);
    const texts = Object.entries(variables).map(([key, value]) => [
      key,
      typeof value === 'string' ? value : 'arn',
    ]);
    const lambdas = { AWS_REGION: 'eu-central-1', AWS_SESSION_TOKEN: 'given-by-lambda' };
    const { auth } = readConfig({ ...Object.fromEntries(texts), ...lambdas });
    const params: Readonly<Record<string, string>> = STAGES[stage];
    expect(auth.kind).toBe(params.vaultAuth ?? 'approle-parameter');
    expect(variables.LEASEKEEPER_METRICS_NAMESPACE).toBe(`leasekeeper-${stage}`);
  });

  it.each(FUNCTIONS)('tell %s where its own credentials lie, and no credentials', (name) => {
    const { LEASEKEEPER_APPROLE_PARAMETER: parameter, LEASEKEEPER_APPROLE_SECRET: secret } = variablesOf(
      stage,
      name,
    );
    expect({ parameter, secret }).toEqual({
      parameter: stage === 'test' || stage === 'keyed' ? `/leasekeeper/${stage}/approle/${name}` : '',
      secret: stage === 'prod' ? `leasekeeper/prod/approle/${name}` : '',
    });
    const others = Object.keys(variablesOf(stage, name)).filter(
      (variable) => variable !== 'LEASEKEEPER_APPROLE_SECRET',
    );
    expect(others.filter((variable) => /TOKEN|SECRET|ROLE_ID|PASSWORD/.test(variable))).toEqual([]);
  });

  it('are in the network that was given', () => {
    const vpc = {
      SubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
      SecurityGroupIds: ['sg-0123456789abcdef0'],
    };
    for (const { VpcConfig } of functionsOf(stage).values())
      expect(VpcConfig).toEqual(stage === 'prod' ? vpc : undefined);
  });

  it('keep instances where that protects Vault, unless the account can keep none', () => {
    const kept = [...functionsOf(stage)].map(([id, { ReservedConcurrentExecutions }]) => [
      id,
      ReservedConcurrentExecutions,
    ]);
    const expected =
      stage === 'small' ? {} : { ScanLambdaFunction: 1, FetchLambdaFunction: 20, ManageLambdaFunction: 5 };
    expect(Object.fromEntries(kept.filter(([, count]) => count !== undefined))).toEqual(expected);
    const sources = resources(
      stage,
      'AWS::Lambda::EventSourceMapping',
      z.object({ ScalingConfig: z.object({ MaximumConcurrency: z.coerce.number().min(2).max(10) }) }),
    );
    expect(sources.size).toBe(3);
  });

  it('hold nothing of the environment that they were packaged in', async () => {
    for (const file of [templateIn(outOf(stage)), path.join(outOf(stage), 'serverless-state.json')]) {
      expect(await readFile(file, 'utf8')).not.toContain(CANARY);
    }
  });
});

const redriveSchema = z.object({ deadLetterTargetArn: arnOf, maxReceiveCount: z.number() });
const queueSchema = z.object({
  QueueName: z.string(),
  RedrivePolicy: redriveSchema.optional(),
  RedriveAllowPolicy: z
    .union([
      z.strictObject({ redrivePermission: z.literal('byQueue'), sourceQueueArns: z.tuple([arnOf]) }),
      z.strictObject({ redrivePermission: z.literal('denyAll') }),
    ])
    .optional(),
});

describe.each(stages)('what carries events in the template for the stage %s', (stage) => {
  const queues = () => resources(stage, 'AWS::SQS::Queue', queueSchema);

  it('has dead letters behind each queue, which take them from that queue alone and give them back', () => {
    for (const [id, { QueueName, RedrivePolicy, RedriveAllowPolicy }] of queues()) {
      if (RedrivePolicy === undefined) {
        expect(id).toMatch(/DeadLetters$/);
        expect(RedriveAllowPolicy).toBeDefined();
        continue;
      }
      expect(queues().get(RedrivePolicy.deadLetterTargetArn)?.RedriveAllowPolicy).toEqual({
        redrivePermission: 'byQueue',
        sourceQueueArns: [`arn:\${AWS::Partition}:sqs:\${AWS::Region}:\${AWS::AccountId}:${QueueName}`],
      });
    }
    expect(queues().size).toBe(8);
  });

  it('says of each target how often it is tried, and where what is given up goes', () => {
    const target = z.object({
      RetryPolicy: z.object({ MaximumRetryAttempts: z.number(), MaximumEventAgeInSeconds: z.number() }),
      DeadLetterConfig: z.object({ Arn: arnOf }),
    });
    const rules = resources(stage, 'AWS::Events::Rule', z.object({ Targets: z.tuple([target]) }));
    const schedules = resources(stage, 'AWS::Scheduler::Schedule', z.object({ Target: target }));
    expect([rules.size, schedules.size]).toEqual([4, 1]);
    for (const { Targets } of rules.values()) expect(Targets[0].DeadLetterConfig.Arn).toBe('RuleDeadLetters');
    for (const { Target } of schedules.values())
      expect(Target.DeadLetterConfig.Arn).toBe('ScheduleDeadLetters');
  });

  it('keeps outcomes to be replayed, and no commands', () => {
    const archives = resources(stage, 'AWS::Events::Archive', z.unknown());
    if (stage === 'small') return expect(archives.size).toBe(0);
    expect(archives.get('Archive')).toMatchObject({
      SourceArn: { 'Fn::GetAtt': ['Bus', 'Arn'] },
      EventPattern: {
        source: ['leasekeeper'],
        'detail-type': [{ 'anything-but': ['leases.due', 'rotation.due', 'delivery.due'] }],
      },
      RetentionDays: stage === 'prod' ? 30 : 14,
    });
  });

  it('has the schedule at the interval that scan looks ahead by', () => {
    const schedules = resources(
      stage,
      'AWS::Scheduler::Schedule',
      z.object({ ScheduleExpression: z.string() }),
    );
    expect(schedules.get('ScanSchedule')?.ScheduleExpression).toBe(
      stage === 'prod' ? 'rate(5 minutes)' : 'rate(1 minute)',
    );
    expect(variablesOf(stage, 'scan').LEASEKEEPER_SCAN_INTERVAL).toBe(stage === 'prod' ? '300' : '60');
  });

  it('bounds what comes in over HTTP, and logs no path, query or header', () => {
    const httpStages = resources(
      stage,
      'AWS::ApiGatewayV2::Stage',
      z.object({
        DefaultRouteSettings: z.object({
          ThrottlingRateLimit: z.coerce.number(),
          ThrottlingBurstLimit: z.coerce.number(),
        }),
        AccessLogSettings: z.object({ DestinationArn: arnOf, Format: z.string() }),
      }),
    );
    const { DefaultRouteSettings, AccessLogSettings } = httpStages.get('HttpApiStage') ?? {};
    expect(DefaultRouteSettings).toEqual({
      ThrottlingRateLimit: stage === 'small' ? 20 : 50,
      ThrottlingBurstLimit: 100,
    });
    expect(AccessLogSettings?.DestinationArn).toBe('HttpApiLogGroup');
    const fields = z.record(z.string(), z.string()).parse(JSON.parse(AccessLogSettings?.Format ?? ''));
    expect(Object.values(fields).toSorted()).toEqual(
      [
        ...['requestId', 'requestTimeEpoch', 'identity.sourceIp', 'routeKey', 'status', 'responseLength'],
        ...[
          'responseLatency',
          'integrationLatency',
          'integrationStatus',
          'error.responseType',
          'integrationErrorMessage',
        ],
      ]
        .map((field) => `$context.${field}`)
        .toSorted(),
    );
  });

  it('ends every log after a while, and there is one for each function and for the API', () => {
    const groups = resources(
      stage,
      'AWS::Logs::LogGroup',
      z.object({ LogGroupName: z.string(), RetentionInDays: z.coerce.number() }),
    );
    const days = { test: 30, prod: 90, small: 3, keyed: 30, openbao: 30 }[stage];
    const expected = [
      ...FUNCTIONS.map((name) => `/aws/lambda/leasekeeper-${stage}-${name}`),
      `/aws/http-api/leasekeeper-${stage}`,
    ];
    expect([...groups.values()].toSorted((a, b) => a.LogGroupName.localeCompare(b.LogGroupName))).toEqual(
      expected
        .toSorted((a, b) => a.localeCompare(b))
        .map((LogGroupName) => ({ LogGroupName, RetentionInDays: days })),
    );
  });
});

/** Types that cannot have tags, or whose owner has them. */
const UNTAGGED = [
  'AWS::ApiGatewayV2::Integration',
  'AWS::ApiGatewayV2::Route',
  // CloudFormation gives it none.
  'AWS::CloudWatch::Dashboard',
  'AWS::Events::Archive',
  'AWS::Lambda::EventInvokeConfig',
  'AWS::Lambda::Permission',
  'AWS::S3::BucketPolicy',
  'AWS::SNS::Subscription',
  'AWS::SNS::TopicPolicy',
  'AWS::SQS::QueuePolicy',
  // Only a group of schedules can.
  'AWS::Scheduler::Schedule',
];

const tagsSchema = z.union([
  z
    .array(z.object({ Key: z.string(), Value: z.string() }))
    .transform((tags) => tags.map(({ Key, Value }) => [Key, Value])),
  z.record(z.string(), z.string()).transform((tags) => Object.entries(tags)),
]);

describe.each(stages)('the template for the stage %s', (stage) => {
  it('has tags on all that can have them', () => {
    for (const [id, { Type, Properties }] of Object.entries(templateOf(stage).Resources)) {
      if (UNTAGGED.includes(Type)) continue;
      const tags = tagsSchema.safeParse(Properties.Tags).data ?? [];
      expect({ id, tags: Object.fromEntries(tags) }).toEqual({ id, tags: { service: 'leasekeeper', stage } });
    }
  });

  it('puts out what the runbook and the setup of Vault ask for', () => {
    const expected = ['BusName', 'BusArn', 'ApiAddress', 'DashboardName', 'AlarmTopicArn'];
    const queues = ['Renew', 'Rotate', 'Notify'].flatMap((name) => [
      `${name}QueueUrl`,
      `${name}DeadLettersUrl`,
      `${name}DeadLettersArn`,
    ]);
    const others = [
      'RuleDeadLettersUrl',
      'ScheduleDeadLettersUrl',
      ...FUNCTIONS.map((name) => `${capitalized(name)}RoleArn`),
    ];
    expect(Object.keys(templateOf(stage).Outputs)).toEqual(
      expect.arrayContaining([...expected, ...queues, ...others]),
    );
    expect('ArchiveName' in templateOf(stage).Outputs).toBe(stage !== 'small');
  });
});

const dimensionSchema = z.object({ Name: z.string(), Value: z.unknown() });
const alarmSchema = z.object({
  AlarmName: z.string(),
  AlarmDescription: z.string(),
  AlarmActions: z.tuple([z.unknown()]),
  OKActions: z.tuple([z.unknown()]),
  TreatMissingData: z.enum(['breaching', 'notBreaching', 'ignore']),
  Threshold: z.coerce.number(),
  EvaluationPeriods: z.number(),
  Period: z.number().multipleOf(60).optional(),
  Namespace: z.string().optional(),
  MetricName: z.string().optional(),
  Statistic: z.string().optional(),
  Dimensions: z.array(dimensionSchema).optional(),
  Metrics: z.tuple([z.object({ Expression: z.string(), Period: z.number() })]).optional(),
});
type Alarm = z.infer<typeof alarmSchema>;

/** The metrics of AWS that alarms look at, with their dimension and the types that it may name. */
const AWS_METRICS: Readonly<Record<string, { readonly dimension: string; readonly type: string }>> = {
  'AWS/SQS ApproximateNumberOfMessagesVisible': { dimension: 'QueueName', type: 'AWS::SQS::Queue' },
  'AWS/SQS ApproximateAgeOfOldestMessage': { dimension: 'QueueName', type: 'AWS::SQS::Queue' },
  'AWS/Lambda Errors': { dimension: 'FunctionName', type: 'AWS::Lambda::Function' },
  'AWS/Lambda Throttles': { dimension: 'FunctionName', type: 'AWS::Lambda::Function' },
  'AWS/ApiGateway 5xx': { dimension: 'ApiId', type: 'AWS::ApiGatewayV2::Api' },
};
const refSchema = z.union([
  z.object({ Ref: z.string() }).transform(({ Ref }) => Ref),
  z
    .object({ 'Fn::GetAtt': z.tuple([z.string(), z.literal('QueueName')]) })
    .transform((value) => value['Fn::GetAtt'][0]),
]);
const QUERY = /^SELECT SUM\("(\w+)"\) FROM SCHEMA\("([^"]+)", ("\w+"(?:, "\w+")*)\)$/;

/** The dimensions that lib/telemetry/emf-metrics.ts gives a metric. */
function dimensionsOf(metric: string): readonly string[] {
  const labels = isMetricName(metric) ? (definitions.get(metric)?.labels ?? []) : undefined;
  expect({ metric, known: labels !== undefined }).toEqual({ metric, known: true });
  return ['service', ...(labels ?? []).filter((label) => !DETAIL_LABELS.has(label))].toSorted();
}

/** What of an alarm's metric is never written, if anything is. */
function expectWritten(template: Template, stage: Stage, alarm: Alarm): void {
  const { Namespace, MetricName = '', Dimensions = [], Metrics } = alarm;
  const query = Metrics?.[0].Expression;
  if (query !== undefined) {
    const [, metric = '', namespace, keys = ''] = QUERY.exec(query) ?? [];
    expect(namespace).toBe(`leasekeeper-${stage}`);
    expect(keys.replaceAll('"', '').split(', ').toSorted()).toEqual(dimensionsOf(metric));
    return;
  }
  if (Namespace === `leasekeeper-${stage}`) {
    expect(Dimensions.map(({ Name }) => Name).toSorted()).toEqual(dimensionsOf(MetricName));
    const known = isMetricName(MetricName) ? definitions.get(MetricName)?.known : {};
    const values: Readonly<Record<string, readonly string[] | undefined>> = {
      ...known,
      service: FUNCTIONS,
      book: ['leases', 'rotations', 'deliveries'],
    };
    for (const { Name, Value } of Dimensions) expect(values[Name]).toContain(Value);
    return;
  }
  const { dimension, type } = AWS_METRICS[`${Namespace} ${MetricName}`] ?? {};
  expect(Dimensions.map(({ Name }) => Name)).toEqual([dimension]);
  expect(template.Resources[refSchema.parse(Dimensions[0]?.Value)]?.Type).toBe(type);
}

describe.each(stages)('the alarms in the template for the stage %s', (stage) => {
  const alarms = () => resources(stage, 'AWS::CloudWatch::Alarm', alarmSchema);
  /** Ids of the queues or functions that alarms watch by a metric. */
  const watched = (metric: string) =>
    [...alarms().values()].flatMap(({ MetricName, Dimensions = [] }) =>
      MetricName === metric ? [refSchema.parse(Dimensions[0]?.Value)] : [],
    );
  const idsOf = (type: string, like: RegExp) =>
    [...resources(stage, type, z.unknown()).keys()].filter((id) => like.test(id)).toSorted();

  it('all go to the one topic, when they begin and when they end', () => {
    const topic = stage === 'small' ? STAGES.small.alarmTopicArn : { Ref: 'AlarmTopic' };
    for (const { AlarmActions, OKActions } of alarms().values()) {
      expect([AlarmActions, OKActions]).toEqual([[topic], [topic]]);
    }
    expect(resources(stage, 'AWS::SNS::Topic', z.unknown()).size).toBe(stage === 'small' ? 0 : 1);
    const subscriptions = [...resources(stage, 'AWS::SNS::Subscription', z.unknown()).values()];
    const email = { TopicArn: { Ref: 'AlarmTopic' }, Protocol: 'email', Endpoint: 'on-call@example.com' };
    expect(subscriptions).toEqual(stage === 'prod' ? [email] : []);
    expect(templateOf(stage).Outputs.AlarmTopicArn?.Value).toEqual(topic);
  });

  it('watch every queue, all dead letters and every function', () => {
    expect(watched('ApproximateNumberOfMessagesVisible').toSorted()).toEqual(
      idsOf('AWS::SQS::Queue', /DeadLetters$/),
    );
    expect(watched('ApproximateAgeOfOldestMessage').toSorted()).toEqual(idsOf('AWS::SQS::Queue', /Queue$/));
    expect(watched('Errors').toSorted()).toEqual(idsOf('AWS::Lambda::Function', /./));
    expect(watched('Throttles').toSorted()).toEqual(['FetchLambdaFunction', 'ManageLambdaFunction']);
    expect(watched('5xx')).toEqual(['HttpApi']);
  });

  it('are as many as the documents say', () => {
    const [, count] = /(\d+) alarms/.exec(readProjectFile('docs/aws-stack.md')) ?? [];
    expect(alarms().size).toBe(Number(count) - (stage === 'small' ? 3 : 0));
  });

  it('look at what is written, in the dimensions that it is written in', () => {
    for (const alarm of alarms().values()) expectWritten(templateOf(stage), stage, alarm);
    const queries = [...alarms().values()].filter(({ Metrics }) => Metrics !== undefined);
    expect(queries).toHaveLength(stage === 'small' ? 0 : 3);
  });

  it('name their part of the runbook, and have names of their own', () => {
    const parts = anchorsOf(readProjectFile('docs/runbook.md'));
    const names = [...alarms().values()].map(({ AlarmName }) => AlarmName);
    expect(new Set(names).size).toBe(names.length);
    for (const { AlarmName, AlarmDescription } of alarms().values()) {
      expect(AlarmName).toMatch(new RegExp(`^leasekeeper-${stage}-[a-z0-9-]+$`));
      const [, part = ''] = /^[A-Z].*\. docs\/runbook\.md#([\w-]+)$/.exec(AlarmDescription) ?? [];
      expect({ AlarmName, known: parts.has(part) }).toEqual({ AlarmName, known: true });
    }
  });

  it('wake somebody when two intervals have passed without a scan, and when work is overdue', () => {
    const interval = stage === 'prod' ? 300 : 60;
    expect(alarms().get('NotScanningAlarm')).toMatchObject({
      Statistic: 'SampleCount',
      Period: interval,
      EvaluationPeriods: 2,
      Threshold: 1,
      TreatMissingData: 'breaching',
    });
    for (const book of ['Leases', 'Rotations', 'Deliveries']) {
      expect(alarms().get(`${book}OverdueAlarm`)).toMatchObject({
        Period: interval,
        Threshold: 2 * interval,
      });
    }
  });

  it('are all on the dashboard, which is JSON of known metrics', () => {
    const dashboards = resources(
      stage,
      'AWS::CloudWatch::Dashboard',
      z.object({ DashboardBody: z.object({ 'Fn::Sub': z.string() }) }),
    );
    const body = dashboards.get('Dashboard')?.DashboardBody['Fn::Sub'] ?? '';
    const { widgets } = z
      .object({
        widgets: z.array(z.object({ type: z.string(), properties: z.record(z.string(), z.unknown()) })),
      })
      .parse(JSON.parse(body));
    const shown = z.array(z.string()).parse(widgets.find(({ type }) => type === 'alarm')?.properties.alarms);
    expect(shown.toSorted()).toEqual([...alarms().keys()].map((id) => `\${${id}.Arn}`).toSorted());
    const own = [...body.matchAll(/\b(?:leasekeeper|vault)_\w+/g)].map(([metric]) => metric);
    expect(own.length).toBeGreaterThan(10);
    expect(own.filter((metric) => !isMetricName(metric))).toEqual([]);
    const searches = [...body.matchAll(/SEARCH\('\{\\"([^"\\]+)\\",([\w,]+)\} MetricName=\\"(\w+)\\"'/g)];
    for (const [, namespace, keys = '', metric = ''] of searches) {
      expect(namespace).toBe(`leasekeeper-${stage}`);
      expect(keys.split(',').toSorted()).toEqual(dimensionsOf(metric));
    }
    expect(searches.length).toBeGreaterThan(5);
  });
});

describe('a parameter that will not do', () => {
  it.each([
    [{ vaultAuth: 'password' }, 'The parameter vaultAuth is one of approle-parameter'],
    [{ vpcSubnetIds: 'subnet-0123456789abcdef0' }, 'are given together, or neither'],
    [{ scanInterval: '300' }, 'The parameters scanRate'],
  ] as const)('%j ends the package with a reason', async (params, reason) => {
    const options = { folder: project.folder, out: outOf('refused'), stage: 'refused', params };
    const refused = packageOffline(options).then(
      () => 'packaged',
      (error: unknown) => z.object({ stdout: z.string(), stderr: z.string() }).parse(error),
    );
    expect(JSON.stringify(await refused)).toContain(reason);
  });
});

/** cfn-lint from PyPI: the linter of CloudFormation's own maintainers, with the schemas of all resource types. */
const LINTER = { file: 'cfn-lint.requirements.txt', oldestPython: [3, 11], modules: ['cfnlint'] } as const;
const LINT = 'from cfnlint.runner import main; main()';

describe('cfn-lint', () => {
  let found: PythonProgram | PythonMissing;
  let python: PythonProgram;
  beforeAll(async () => {
    found = await pythonEnvironment(LINTER, process.env);
  }, 240_000);
  beforeEach(({ skip }) => {
    if ('missing' in found) skip(`not tried, ${found.missing}`);
    else python = found;
  });

  const findingSchema = z.array(z.object({ Rule: z.object({ Id: z.string() }), Message: z.string() }));
  async function lint(folder: string) {
    const args = ['--format', 'json', '--regions', 'us-east-1', 'eu-central-1', '--', templateIn(folder)];
    const { stdout } = await python(LINT, args, { timeoutMs: 60_000, cwd: folder });
    return findingSchema.parse(JSON.parse(stdout)).map(({ Rule, Message }) => `${Rule.Id}: ${Message}`);
  }

  it.each(stages)('finds nothing in the template for the stage %s', async (stage) => {
    expect(await lint(outOf(stage))).toEqual([]);
  });

  it('finds what is wrong in a broken one', async () => {
    const { Resources, ...rest } = templateOf('test');
    const broken = {
      ...rest,
      Resources: {
        ...Resources,
        RenewQueue: {
          Type: 'AWS::SQS::Queue',
          Properties: { MessageRetentionPeriod: 'a while', Colour: 'red' },
        },
      },
    };
    await mkdir(outOf('broken'), { recursive: true });
    await writeFile(templateIn(outOf('broken')), JSON.stringify(broken));
    const findings = await lint(outOf('broken'));
    expect(findings).toContainEqual(expect.stringMatching(/^E3002: .*Colour/));
    expect(findings).toContainEqual(expect.stringMatching(/^E3012: .*a while/));
  });
});
