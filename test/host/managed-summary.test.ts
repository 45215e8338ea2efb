import { describe, expect, it } from 'vitest';
import { listedOf, summaryOf } from '../../lib/host/managed-summary.ts';
import type { ManagedSecret } from '../../lib/rotation/managed-secrets.ts';
import { specificationSchema } from '../../lib/rotation/specification.ts';
import { initialState, type RotationState, rotationStateSchema } from '../../lib/rotation/state.ts';

const AT = Date.UTC(2026, 0, 1);
const HANDLE = { lease: 'handle-canary', accessor: 'accessor-canary' };
const INPUT = {
  kind: 'lease',
  name: 'app-database',
  source: 'database/creds/app',
  publish: 'app/database',
  token_role: 'leasekeeper-app-database',
  consumers: ['gateway', 'inference'],
  grace: '10s',
  deadline: '1m',
};

function secretIn(changes: Partial<RotationState>): ManagedSecret {
  const state = rotationStateSchema.parse({ ...initialState(AT, 'at_once'), ...changes });
  return { name: INPUT.name, input: INPUT, spec: specificationSchema.parse(INPUT), state, version: 7 };
}
const told = (changes: Partial<RotationState>): unknown =>
  JSON.parse(JSON.stringify(summaryOf(secretIn(changes))));

const credential = { kind: 'lease', h: HANDLE, published: { path: 'app/database', version: 2 } };
const retiring = {
  ...credential,
  notBefore: AT,
  deadline: AT + 60_000,
  failures: 0,
  retryAt: 0,
  lookAt: 0,
  overdue: false,
};

describe('what is told of a managed secret', () => {
  it('at first is only that it is due', () => {
    expect(told({})).toEqual({
      name: 'app-database',
      kind: 'lease',
      specification: INPUT,
      phase: 'idle',
      generation: null,
      next_rotation: '2026-01-01T00:00:00.000Z',
      next_reason: 'first',
      failures: 0,
      retiring: [],
      acknowledged: {},
      reaping: { count: 0 },
      history: [],
      unpublished_events: 0,
      document_version: 7,
    });
  });

  it('says who has not moved, and why one cannot be revoked', () => {
    const failing = {
      ...retiring,
      g: 1,
      why: 'leak' as const,
      failures: 3,
      failed: 'vault_denied',
      retryAt: AT,
    };
    const waiting = { ...retiring, g: 2, why: 'replaced' as const, idleSince: AT, overdue: true };
    const cur = { ...credential, g: 3, since: AT };

    expect(told({ cur, retiring: [failing, waiting], acks: { gateway: 3, inference: 2 } })).toMatchObject({
      generation: 3,
      since: '2026-01-01T00:00:00.000Z',
      acknowledged: { gateway: 3, inference: 2 },
      retiring: [
        {
          generation: 1,
          why: 'leak',
          waiting_for: [],
          failures: 3,
          failed: 'vault_denied',
          retry_at: '2026-01-01T00:00:00.000Z',
        },
        {
          generation: 2,
          waiting_for: ['inference'],
          idle_since: '2026-01-01T00:00:00.000Z',
          overdue: true,
          deadline: '2026-01-01T00:01:00.000Z',
        },
      ],
    });
  });

  it('while one is under way says what is pending, and that it failed', () => {
    const under = told({
      phase: 'promote',
      g: 4,
      kind: 'lease',
      h: HANDLE,
      reason: 'demand',
      by: 'ada',
      failed: { step: 'promote', code: 'vault_denied' },
      retryAt: AT,
      again: { reason: 'supplied', by: 'grace' },
      marks: { begun: AT },
      due: AT,
    });
    expect(under).toMatchObject({
      phase: 'promote',
      pending: {
        generation: 4,
        reason: 'demand',
        by: 'ada',
        begun: '2026-01-01T00:00:00.000Z',
        failed: { step: 'promote', code: 'vault_denied' },
        retry_at: '2026-01-01T00:00:00.000Z',
      },
      asked_meanwhile: { reason: 'supplied', by: 'grace' },
    });
    expect(under).not.toHaveProperty('next_rotation');
  });

  it('says who paused or removed it, what drifted, and what is looked for', () => {
    const reap = { kind: 'http-api-key', intent: HANDLE, since: AT, next: AT, tries: 1 };
    expect(
      told({
        paused: { at: AT, by: 'ada' },
        removed: { at: AT, credentials: 'keep' },
        drift: 'value_refused 3',
        reap: [
          { ...reap, att: 'a', failed: 'vault_denied' },
          { ...reap, att: 'b' },
        ],
      }),
    ).toMatchObject({
      paused: { at: '2026-01-01T00:00:00.000Z', by: 'ada' },
      removed: { at: '2026-01-01T00:00:00.000Z', credentials: 'keep' },
      drift: 'value_refused 3',
      reaping: { count: 2, failed: 'vault_denied' },
    });
  });

  it('never holds a handle', () => {
    const all = secretIn({
      phase: 'test',
      g: 3,
      h: HANDLE,
      intent: HANDLE,
      owner: 'owner-canary',
      att: 'attempt-canary',
      cur: { ...credential, g: 2, since: AT },
      retiring: [{ ...retiring, g: 1, why: 'replaced' }],
      reap: [{ att: 'attempt-canary', kind: 'lease', intent: HANDLE, since: AT, next: AT, tries: 0 }],
    });
    expect(JSON.stringify([summaryOf(all), listedOf(all)])).not.toContain('canary');
  });
});

it('in a list it is one line', () => {
  const cur = { ...credential, g: 3, since: AT };
  expect(
    listedOf(secretIn({ cur, retiring: [{ ...retiring, g: 2, why: 'replaced' }], paused: { at: AT } })),
  ).toEqual({
    name: 'app-database',
    kind: 'lease',
    phase: 'idle',
    generation: 3,
    retiring: [2],
    due: '2026-01-01T00:00:00.000Z',
    failures: 0,
    paused: true,
    removed: false,
    drift: false,
  });
});
