import { describe, expect, it } from 'vitest';
import { createLabelLimit, type LabelLimit, OTHER, REFUSED } from '../../lib/telemetry/label-limit.ts';

/** The path under which an access is counted. */
const counted = (limited: LabelLimit) => (path: string, outcome: string) =>
  limited('vault_secret_requests_total', { path, kind: 'static', outcome }).path;

describe('paths that callers of the system choose', () => {
  it('count by their names once somebody was answered, from then on with every outcome', () => {
    const path = counted(createLabelLimit('system'));

    expect([path('a', 'denied'), path('a', 'ok'), path('a', 'denied'), path('a', 'error')]).toEqual([
      REFUSED,
      'a',
      'a',
      'a',
    ]);
  });

  it('leave the limit to paths that there are, however many are asked for in vain', () => {
    const path = counted(createLabelLimit('system', 10));
    for (let attempt = 0; attempt < 1_000; attempt += 1)
      expect(path(`made-up/${attempt}`, attempt % 2 === 0 ? 'denied' : 'error')).toBe(REFUSED);

    expect(path('nvidia/api-key', 'ok')).toBe('nvidia/api-key');
    expect(path('nvidia/api-key', 'denied')).toBe('nvidia/api-key');
  });

  it('are bounded all the same', () => {
    const path = counted(createLabelLimit('system', 4));
    const paths = ['a', 'b', 'c', 'd', 'e'].map((one) => path(one, 'ok'));

    expect(paths).toEqual(['a', 'b', 'c', 'd', OTHER]);
    expect(path('e', 'denied')).toBe(REFUSED);
  });
});

it('the paths of a service are its own: a refused one is told by its name', () => {
  expect(counted(createLabelLimit('service'))('elsewhere/x', 'denied')).toBe('elsewhere/x');
});
