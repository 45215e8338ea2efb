import * as z from 'zod';
import type { FunctionName } from '../../../lib/host/identities.ts';
import { arnOf } from './packaged.ts';

const statementSchema = z.strictObject({
  Effect: z.enum(['Allow', 'Deny']),
  Action: z.union([z.string(), z.array(z.string())]),
  Resource: z.union([arnOf, z.array(arnOf)]),
  Condition: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
});

export const roleSchema = z.object({
  RoleName: z.unknown().optional(),
  ManagedPolicyArns: z.undefined().optional(),
  AssumeRolePolicyDocument: z.object({ Statement: z.tuple([z.record(z.string(), z.unknown())]) }),
  Policies: z.tuple([z.object({ PolicyDocument: z.object({ Statement: z.array(statementSchema) }) })]),
});

/** What every name begins with: this account, this region. */
const HERE =
  /^arn:\$\{AWS::Partition\}:(?:logs|ssm|secretsmanager|ec2):\$\{AWS::Region\}:(?:\$\{AWS::AccountId\}:|(?=\*:subnet))/;

/** What a role may do, as `action on resource`, with `if` and the condition where there is one, and `not` where it is denied. */
export function grantsIn(role: z.infer<typeof roleSchema> | undefined): readonly string[] {
  const statements = role?.Policies[0].PolicyDocument.Statement ?? [];
  return statements.flatMap(({ Effect, Action, Resource, Condition }) =>
    [Action].flat().flatMap((action) =>
      [Resource].flat().map((resource) => {
        const condition = Condition === undefined ? '' : ` if ${JSON.stringify(Condition)}`;
        return `${Effect === 'Deny' ? 'not ' : ''}${action} on ${resource.replace(HERE, '')}${condition}`;
      }),
    ),
  );
}

const PUBLISHERS: readonly FunctionName[] = ['scan', 'renew', 'rotate', 'notify', 'manage'];
const WORKERS: readonly FunctionName[] = ['renew', 'rotate', 'notify'];
const TAKE = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];
const CHANGE = [
  'CreateNetworkInterface',
  'DeleteNetworkInterface',
  'AssignPrivateIpAddresses',
  'UnassignPrivateIpAddresses',
];
const DESCRIBE = ['DescribeNetworkInterfaces', 'DescribeSubnets'];

/** Every grant that the role of a function is to have in a stage with these parameters, and no other. */
export function expectedGrants(
  name: FunctionName,
  stage: string,
  params: Readonly<Record<string, string>>,
): readonly string[] {
  const log = `log-group:/aws/lambda/leasekeeper-${stage}-${name}:log-stream:*`;
  const queue = `${name.charAt(0).toUpperCase()}${name.slice(1)}Queue`;
  return [
    `logs:CreateLogStream on ${log}`,
    `logs:PutLogEvents on ${log}`,
    ...(WORKERS.includes(name) ? TAKE.map((action) => `${action} on ${queue}`) : []),
    ...(PUBLISHERS.includes(name) ? ['events:PutEvents on Bus'] : []),
    ...loginGrants(name, stage, params),
    ...networkGrants(name, stage, params),
  ];
}

function loginGrants(
  name: string,
  stage: string,
  params: Readonly<Record<string, string>>,
): readonly string[] {
  const key = params.kmsKeyArn;
  const here = (service: string, rest: string) => ({
    'Fn::Sub': `arn:\${AWS::Partition}:${service}:\${AWS::Region}:\${AWS::AccountId}:${rest}`,
  });
  const via = (service: string) => ({
    'kms:ViaService': { 'Fn::Sub': `${service}.\${AWS::Region}.\${AWS::URLSuffix}` },
  });
  const decrypt = (condition: object) =>
    key === undefined ? [] : [`kms:Decrypt on ${key} if ${JSON.stringify(condition)}`];
  switch (params.vaultAuth) {
    case undefined: {
      const parameter = `parameter/leasekeeper/${stage}/approle/${name}`;
      const PARAMETER_ARN = here('ssm', parameter);
      return [
        `ssm:GetParameter on ${parameter}`,
        ...decrypt({ StringEquals: { ...via('ssm'), 'kms:EncryptionContext:PARAMETER_ARN': PARAMETER_ARN } }),
      ];
    }
    case 'approle-secret': {
      const secret = `secret:leasekeeper/${stage}/approle/${name}-??????`;
      return [
        `secretsmanager:GetSecretValue on ${secret}`,
        ...decrypt({
          StringEquals: via('secretsmanager'),
          StringLike: { 'kms:EncryptionContext:SecretARN': here('secretsmanager', secret) },
        }),
      ];
    }
    case 'aws-web-identity': {
      const audience = { 'ForAllValues:StringEquals': { 'sts:IdentityTokenAudience': params.jwtAudience } };
      return [`sts:GetWebIdentityToken on * if ${JSON.stringify(audience)}`];
    }
    default:
      return [];
  }
}

function networkGrants(
  name: string,
  stage: string,
  params: Readonly<Record<string, string>>,
): readonly string[] {
  const subnets = params.vpcSubnetIds?.split(', ');
  if (subnets === undefined) return [];
  const code = {
    ArnEquals: {
      'lambda:SourceFunctionArn': {
        'Fn::Sub': `arn:\${AWS::Partition}:lambda:\${AWS::Region}:\${AWS::AccountId}:function:leasekeeper-${stage}-${name}`,
      },
    },
  };
  const on = ['*/*', ...subnets.map((id) => `*:subnet/${id}`)];
  return [
    ...CHANGE.flatMap((action) => on.map((resource) => `ec2:${action} on ${resource}`)),
    ...DESCRIBE.map((action) => `ec2:${action} on *`),
    ...[...CHANGE, ...DESCRIBE].map((action) => `not ec2:${action} on * if ${JSON.stringify(code)}`),
  ];
}

/** Every star there may be, and why nothing narrower will do. */
export const STARS: readonly { readonly pattern: RegExp; readonly why: string }[] = [
  {
    pattern: /^logs:(?:CreateLogStream|PutLogEvents) on log-group:\/aws\/lambda\/[\w-]+:log-stream:\*$/,
    why: 'Lambda names the streams of a function’s own log.',
  },
  {
    pattern: /^sts:GetWebIdentityToken on \* if .*"sts:IdentityTokenAudience":"https:[^"*]+"/,
    why: 'The action knows no resource; the condition leaves the one audience.',
  },
  {
    pattern:
      /^ec2:(?:Create|Delete)NetworkInterface on \*\/\*$|^ec2:(?:Una|A)ssignPrivateIpAddresses on \*\/\*$/,
    why: 'Lambda must be let delete any interface of the account, and makes them under ids of its own.',
  },
  {
    pattern: /^ec2:\w+ on \*:subnet\/subnet-\w+$/,
    why: 'A subnet that is shared with this account has another account in its ARN.',
  },
  { pattern: /^ec2:Describe(?:NetworkInterfaces|Subnets) on \*$/, why: 'Descriptions know no resource.' },
  { pattern: /^not /, why: 'What is denied is denied on everything.' },
];
