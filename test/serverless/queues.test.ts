import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { ROUTES } from '../../lib/bus/routes.ts';
import { arn, idIn, resourcesOf, serverless } from './deployment.ts';

const queueSchema = z.object({
  VisibilityTimeout: z.number().optional(),
  MessageRetentionPeriod: z.number(),
  SqsManagedSseEnabled: z.literal(true),
  RedrivePolicy: z.object({ deadLetterTargetArn: arn, maxReceiveCount: z.number() }).optional(),
});
const statementSchema = z.object({
  Effect: z.enum(['Allow', 'Deny']),
  Principal: z.union([z.string(), z.object({ Service: z.string() })]),
  Action: z.string(),
  Resource: arn,
  Condition: z.union([
    z.strictObject({ ArnEquals: z.strictObject({ 'aws:SourceArn': z.union([z.array(arn), arn]) }) }),
    z.strictObject({ Bool: z.strictObject({ 'aws:SecureTransport': z.literal('false') }) }),
  ]),
});
const policySchema = z.object({
  Queues: z.tuple([z.object({ Ref: z.string() })]),
  PolicyDocument: z.object({ Statement: z.array(statementSchema) }),
});
const targetsSchema = z.object({
  Targets: z.tuple([z.object({ Arn: arn, DeadLetterConfig: z.object({ Arn: arn }) })]),
});

const queues = resourcesOf('AWS::SQS::Queue', queueSchema);
const policies = [...resourcesOf('AWS::SQS::QueuePolicy', policySchema).values()];
const rules = [...resourcesOf('AWS::Events::Rule', targetsSchema)];
const deadLetters = [...queues.keys()].filter((id) => id.endsWith('DeadLetters'));
const work = [...queues.keys()].filter((id) => id.endsWith('Queue'));

const sourceOf = (queue: string) =>
  Object.entries(serverless.functions).flatMap(([name, { events, timeout }]) =>
    events.flatMap(({ sqs }) =>
      sqs !== undefined && idIn(sqs.arn) === queue ? [{ name, timeout, sqs }] : [],
    ),
  );

describe('the queues', () => {
  it('are work or dead letters', () => {
    expect([...work, ...deadLetters].toSorted()).toEqual([...queues.keys()].toSorted());
    expect(work).toHaveLength(Object.keys(ROUTES).length);
  });

  it.each(work)('%s gives up after five tries, into dead letters of its own', (id) => {
    const redrive = queues.get(id)?.RedrivePolicy;
    expect(redrive).toEqual({ deadLetterTargetArn: id.replace('Queue', 'DeadLetters'), maxReceiveCount: 5 });
    expect(deadLetters).toContain(redrive?.deadLetterTargetArn);
  });

  it.each(work)('%s hands a message out again only when its function must be done with it', (id) => {
    const [source, ...others] = sourceOf(id);
    expect(others).toEqual([]);
    expect(`${source?.name}Queue`.toLowerCase()).toBe(id.toLowerCase());
    expect(queues.get(id)?.VisibilityTimeout).toBeGreaterThanOrEqual(6 * (source?.timeout ?? Number.NaN));
  });

  it.each(work)('%s takes back the messages of a batch that failed, and no others', (id) => {
    expect(sourceOf(id)[0]?.sqs.functionResponseType).toBe('ReportBatchItemFailures');
  });

  it.each(work)('%s keeps a message until it has been tried five times', (id) => {
    const queue = queues.get(id);
    expect(queue?.MessageRetentionPeriod).toBeGreaterThan(5 * (queue?.VisibilityTimeout ?? Number.NaN));
  });

  it.each(deadLetters)('%s keeps what it gets for 14 days', (id) => {
    expect(queues.get(id)?.MessageRetentionPeriod).toBe(14 * 86_400);
    expect(queues.get(id)?.RedrivePolicy).toBeUndefined();
  });

  it.each([...work, 'RuleDeadLetters'])(
    '%s takes messages from the rules that send there, and only over TLS',
    (id) => {
      const own = policies.filter(({ Queues }) => Queues[0].Ref === id);
      const statements = own.flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
      expect(statements.every(({ Resource }) => Resource === id)).toBe(true);
      const senders = rules.filter(([, { Targets }]) => {
        const [{ Arn, DeadLetterConfig }] = Targets;
        return Arn === id || DeadLetterConfig.Arn === id;
      });
      const allowed = statements.filter(({ Effect }) => Effect === 'Allow');
      expect(allowed).toHaveLength(1);
      expect(allowed[0]).toMatchObject({
        Principal: { Service: 'events.amazonaws.com' },
        Action: 'sqs:SendMessage',
      });
      const condition = allowed[0]?.Condition;
      const sources =
        condition !== undefined && 'ArnEquals' in condition ? condition.ArnEquals['aws:SourceArn'] : [];
      expect([sources].flat().toSorted()).toEqual(senders.map(([rule]) => rule).toSorted());
      const denied = statements.filter(({ Effect }) => Effect === 'Deny');
      expect(denied).toMatchObject([
        { Principal: '*', Action: 'sqs:*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
      ]);
    },
  );
});
