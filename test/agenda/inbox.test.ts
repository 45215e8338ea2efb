import { describe, expect, it } from 'vitest';
import { type Hint, hintSchema } from '../../lib/agenda/hint.ts';
import { additionOf, messagesIn } from '../../lib/agenda/inbox.ts';

const hint = (id: string): Hint => ({ id, due: 7, for: 1 });
const read = (text: string) => messagesIn(text, hintSchema);

describe('a message of the inbox', () => {
  it('that adds one entry is as it always was', () => {
    expect(JSON.parse(additionOf([hint('a')]))).toEqual({ op: 'add', entry: hint('a') });
  });

  it('may add several, and is read as one message for each', () => {
    for (const ids of [['a'], ['a', 'b', 'c']]) {
      expect(read(additionOf(ids.map(hint)))).toEqual(ids.map((id) => ({ op: 'add', entry: hint(id) })));
    }
  });

  it('may remove one', () => {
    expect(read('{"op":"remove","id":"a"}')).toEqual([{ op: 'remove', id: 'a' }]);
  });

  it.each([
    ['adds nothing: nobody would delete it', '{"op":"add_all","entries":[]}'],
    ['has an entry of another book', '{"op":"add_all","entries":[{"id":"a","due":7,"for":1},{"id":"b"}]}'],
    ['asks for something else', '{"op":"add_none","entries":[]}'],
    ['is no JSON', 'add'],
  ])('is none when it %s', (_what, text) => {
    expect(() => read(text)).toThrow();
  });
});
