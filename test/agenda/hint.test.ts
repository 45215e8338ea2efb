import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GONE, type Hint, type LeftDocument, mergeHint, settleHints } from '../../lib/agenda/hint.ts';

const hints: fc.Arbitrary<Hint> = fc.record(
  {
    id: fc.constant('a'),
    due: fc.nat(100),
    for: fc.nat(10),
    claim: fc.constantFrom('me', 'you'),
    missing: fc.constantFrom('me', 'you'),
  },
  { requiredKeys: ['id', 'due', 'for'] },
);

function settled(hint: Hint, left: LeftDocument): Hint | 'dropped' {
  const state = { entries: new Map([['a', hint]]), tombstones: new Map<string, number>() };
  const { set = [], forget = [] } = settleHints(state, new Map([['a', left]]), 'me');
  return forget.includes('a') ? 'dropped' : (set[0] ?? hint);
}

describe('a hint that is posted again', () => {
  it('is due at the least time, for the latest version, in whatever order the two come', () => {
    fc.assert(
      fc.property(hints, hints, (a, b) => {
        const merged = mergeHint(a, b);
        expect(merged).toMatchObject({ due: Math.min(a.due, b.due), for: Math.max(a.for, b.for) });
        expect(mergeHint(b, a)).toMatchObject({ due: merged.due, for: merged.for });
      }),
    );
  });

  it('is nobody’s any more when it says anything new', () => {
    const claimed = { id: 'a', due: 50, for: 3, claim: 'you', missing: 'me' };
    expect(mergeHint(claimed, { id: 'a', due: 60, for: 3 })).toBe(claimed);
    expect(mergeHint(claimed, { id: 'a', due: 40, for: 3 })).toEqual({ id: 'a', due: 40, for: 3 });
    expect(mergeHint(claimed, { id: 'a', due: 60, for: 4 })).toEqual({ id: 'a', due: 50, for: 4 });
  });
});

describe('a hint that was worked on', () => {
  it('is raised or dropped only by who has read the version it is for, or a later one', () => {
    fc.assert(
      fc.property(hints, fc.nat(10), fc.option(fc.nat(1_000), { nil: undefined }), (hint, version, due) => {
        const after = settled(hint, { version, due });
        if (hint.for > version || hint.claim === 'you') expect(after).toEqual(hint);
        else if (due === undefined) expect(after).toBe('dropped');
        else expect(after).toEqual({ id: 'a', due, for: hint.for });
      }),
    );
  });

  it('without a document is dropped only when two workers in turn have found none', () => {
    const claimed = { id: 'a', due: 50, for: 1, claim: 'me' };
    const first = settled(claimed, GONE);
    expect(first).toEqual({ ...claimed, missing: 'me' });
    expect(settled({ ...claimed, missing: 'you' }, GONE)).toBe('dropped');
  });

  it('without a document is not dropped by a worker that finds its own mark, the answer to which was lost', () => {
    const marked = { id: 'a', due: 50, for: 1, claim: 'me', missing: 'me' };
    expect(settled(marked, GONE)).toEqual(marked);
  });

  it('without a document is left alone when it was posted again, or another has it', () => {
    const posted = { id: 'a', due: 0, for: 1, missing: 'you' };
    expect(settled(posted, GONE)).toEqual(posted);
    expect(settled({ ...posted, claim: 'you' }, GONE)).toEqual({ ...posted, claim: 'you' });
  });
});
