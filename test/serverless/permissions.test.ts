import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { FUNCTIONS, type FunctionName } from '../../lib/host/identities.ts';
import { resourcesOf, serverless } from './deployment.ts';

const statementSchema = z.strictObject({
  Effect: z.literal('Allow'),
  Action: z.union([z.string(), z.array(z.string())]),
  Resource: z.union([
    z.object({ 'Fn::GetAtt': z.tuple([z.string(), z.literal('Arn')]) }),
    z.object({ 'Fn::Sub': z.string() }),
  ]),
});
const roleSchema = z.strictObject({
  AssumeRolePolicyDocument: z.object({
    Statement: z.tuple([z.object({ Principal: z.object({ Service: z.string() }) })]),
  }),
  Policies: z.tuple([z.object({ PolicyDocument: z.object({ Statement: z.array(statementSchema) }) })]),
});

const roles = resourcesOf('AWS::IAM::Role', roleSchema);
const PUBLISHERS: readonly FunctionName[] = ['scan', 'renew', 'rotate', 'notify', 'manage'];
const WORKERS: readonly FunctionName[] = ['renew', 'rotate', 'notify'];
const capitalized = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

/** What every resource's name begins with: this account, this region. */
const HERE = /^arn:\$\{AWS::Partition\}:(logs|ssm):\$\{AWS::Region\}:\$\{AWS::AccountId\}:/;

/** What a role may do, as `action on resource`. */
function grantsOf(id: string): readonly string[] {
  const statements = roles.get(id)?.Policies[0].PolicyDocument.Statement ?? [];
  return statements.flatMap(({ Action, Resource }) =>
    [Action].flat().map((action) => {
      const on = 'Fn::Sub' in Resource ? Resource['Fn::Sub'].replace(HERE, '') : Resource['Fn::GetAtt'][0];
      return `${action} on ${on}`;
    }),
  );
}

describe('the roles', () => {
  it('are one for each function, and the one of the schedule', () => {
    const own = Object.entries(serverless.functions).map(([name, { role }]) => [
      `${capitalized(name)}Role`,
      role,
    ]);
    expect(own.every(([expected, role]) => expected === role)).toBe(true);
    expect([...roles.keys()].toSorted()).toEqual([...own.map(([role]) => role), 'ScheduleRole'].toSorted());
  });

  it.each(FUNCTIONS)('let %s do exactly its work', (name) => {
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: the framework's variables, not JavaScript's.
    const log = 'log-group:/aws/lambda/${self:service}-${sls:stage}-'.concat(name, ':log-stream:*');
    const login = 'parameter${param:appRoleParameters}/'.concat(name);
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: up to here
    const queue = `${capitalized(name)}Queue`;
    const take = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];
    expect(grantsOf(`${capitalized(name)}Role`).toSorted()).toEqual(
      [
        `logs:CreateLogStream on ${log}`,
        `logs:PutLogEvents on ${log}`,
        `ssm:GetParameter on ${login}`,
        ...(WORKERS.includes(name) ? take.map((action) => `${action} on ${queue}`) : []),
        ...(PUBLISHERS.includes(name) ? ['events:PutEvents on Bus'] : []),
      ].toSorted(),
    );
  });

  it('let fetch publish nothing', () => {
    expect(grantsOf('FetchRole').filter((grant) => grant.startsWith('events:'))).toEqual([]);
  });

  it('let the schedule start scan and keep what it could not start', () => {
    expect(grantsOf('ScheduleRole')).toEqual([
      'lambda:InvokeFunction on ScanLambdaFunction',
      'sqs:SendMessage on ScheduleDeadLetters',
    ]);
  });

  it('name actions and resources; the one star is for the streams of a function’s own log', () => {
    const grants = [...roles.keys()].flatMap(grantsOf);
    const withStars = grants.filter((grant) => grant.replace(/:log-stream:\*$/, '').includes('*'));
    expect(grants.length).toBeGreaterThan(0);
    expect(withStars).toEqual([]);
  });

  it.each([...roles])('%s can be taken on by one service only', (id, role) => {
    const service = id === 'ScheduleRole' ? 'scheduler' : 'lambda';
    expect(role.AssumeRolePolicyDocument.Statement[0].Principal).toEqual({
      Service: `${service}.amazonaws.com`,
    });
  });
});
