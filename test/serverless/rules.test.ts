import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { eventSchemas } from '../../lib/bus/events.ts';
import { ROUTES } from '../../lib/bus/routes.ts';
import { arn, resourcesOf } from './deployment.ts';

const ruleSchema = z.object({
  EventBusName: z.object({ Ref: z.string() }),
  EventPattern: z.strictObject({
    source: z.array(z.string()),
    'detail-type': z.array(z.union([z.string(), z.strictObject({ 'anything-but': z.array(z.string()) })])),
  }),
  Targets: z.tuple([
    z.object({
      Arn: arn,
      RetryPolicy: z.object({ MaximumRetryAttempts: z.number(), MaximumEventAgeInSeconds: z.number() }),
      DeadLetterConfig: z.object({ Arn: arn }),
    }),
  ]),
});

const rules = resourcesOf('AWS::Events::Rule', ruleSchema);
const capitalized = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);

describe('the rules of the bus', () => {
  it.each(Object.entries(ROUTES))('send %s what ROUTES says, into its own queue', (worker, types) => {
    const rule = rules.get(`${capitalized(worker)}Rule`);
    expect(rule?.EventPattern['detail-type'].toSorted()).toEqual(types.toSorted());
    expect(rule?.Targets[0].Arn).toBe(`${capitalized(worker)}Queue`);
  });

  it('leave no event of ours without a queue', () => {
    const unrouted = rules.get('UnroutedRule');
    const [pattern] = unrouted?.EventPattern['detail-type'] ?? [];
    const but = typeof pattern === 'object' ? pattern['anything-but'] : [];
    expect(but.toSorted()).toEqual([...new Set(Object.values(ROUTES).flat())].toSorted());
    expect(but.toSorted()).toEqual(Object.keys(eventSchemas).toSorted());
    expect(unrouted?.Targets[0].Arn).toBe('NotifyQueue');
  });

  it('are one for each worker and the one for the rest, and no more', () => {
    const named = Object.keys(ROUTES).map((worker) => `${capitalized(worker)}Rule`);
    expect([...rules.keys()].toSorted()).toEqual([...named, 'UnroutedRule'].toSorted());
  });

  it.each([...rules])(
    '%s listens to the one bus and to us, and loses nothing that it cannot hand over',
    (_, rule) => {
      expect(rule.EventBusName.Ref).toBe('Bus');
      expect(rule.EventPattern.source).toEqual(['leasekeeper']);
      expect(rule.Targets[0].DeadLetterConfig.Arn).toBe('RuleDeadLetters');
    },
  );

  it.each(['RotateRule', 'NotifyRule', 'UnroutedRule'])(
    '%s, which carries outcomes, tries for a day',
    (id) => {
      expect(rules.get(id)?.Targets[0].RetryPolicy).toEqual({
        MaximumRetryAttempts: 185,
        MaximumEventAgeInSeconds: 86_400,
      });
    },
  );
});
