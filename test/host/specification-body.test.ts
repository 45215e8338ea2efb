import { describe, expect, it } from 'vitest';
import { specificationIn } from '../../lib/host/specification-body.ts';

const bodied = (body: string, type?: string) =>
  specificationIn(
    {
      method: 'PUT',
      path: '/v1/managed/a',
      parameters: { name: 'a' },
      query: {},
      headers: type === undefined ? {} : { 'content-type': type },
      body,
      requestId: 'request-1',
    },
    'a',
  );
const YAML = 'application/yaml';
const aliases = `a: &a [x, x]\n${'bcdefghi'.replace(/./g, (one) => {
  const before = String.fromCharCode(one.charCodeAt(0) - 1);
  return `${one}: &${one} [*${before}, *${before}, *${before}, *${before}]\n`;
})}`;

describe('a specification in a body', () => {
  it.each([
    ['JSON of too many levels', '['.repeat(20) + ']'.repeat(20), undefined, 'body_too_deep'],
    ['YAML of too many levels', '['.repeat(20) + ']'.repeat(20), YAML, 'body_too_deep'],
    ['more levels than YAML can be read to', '['.repeat(30_000), YAML, 'body_not_yaml'],
    ['aliases that grow', aliases, YAML, 'body_not_yaml'],
    ['an alias of itself', 'a: &a [*a]', YAML, 'body_too_deep'],
    ['another type', '{}', 'application/xml', 'content_type_unsupported'],
    ['no specification', '{}', undefined, 'specification_invalid'],
  ])('is refused: %s', async (_, body, type, code) => {
    await expect(bodied(body, type)).rejects.toEqual(expect.objectContaining({ code }));
  });
});
