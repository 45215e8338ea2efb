import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { apiKeyRequestsSchema } from '../../../../lib/rotation/rotators/http/api-key-requests.ts';
import { HttpRequestError } from '../../../../lib/rotation/rotators/http/http-request-error.ts';
import { createdKey, isGone, listedKeys } from '../../../../lib/rotation/rotators/http/key-answers.ts';

const url = 'https://api.example.com/keys';
const { create, revoke, list } = apiKeyRequestsSchema.parse({
  create: {
    request: { method: 'POST', url, body: { json: ['{{name}}', '{{expires_at}}'] } },
    key: 'key.value',
    key_id: 'key.id',
  },
  revoke: { method: 'DELETE', url: `${url}/{{key_id}}` },
  list: {
    request: { method: 'GET', url },
    items: 'keys',
    key_id: 'id',
    key_name: 'meta.name',
    last_used: 'used',
  },
});
if (list === undefined) throw new Error('There is a list.');

describe('createdKey', () => {
  it('is the key, which does not print, and its id', () => {
    const created = createdKey(create, { key: { value: 'hush', id: 17 } });

    expect(created.keyId).toBe('17');
    expect(created.key.expose()).toBe('hush');
    expect(inspect(created)).not.toContain('hush');
  });

  it.each([undefined, [], { key: 'hush' }, { key: { value: 'hush' } }, { key: { id: 'hush' } }])(
    'is not in %j, and nothing of that is told',
    (body) => {
      expect.assertions(2);
      try {
        createdKey(create, body);
      } catch (error) {
        expect(error).toMatchObject({ code: 'http_answer_invalid', processed: 'maybe' });
        expect(inspect(error)).not.toContain('hush');
      }
    },
  );
});

describe('listedKeys', () => {
  it('are those with a name', () => {
    const keys = [
      { id: 'a', meta: { name: 'one' }, used: '2026-11-21T22:17:00Z' },
      { id: 2, meta: { name: 'two' }, used: null },
      { id: 'c', meta: { name: 'three' } },
      { id: 'd', meta: { name: null } },
      { id: 'e', meta: { name: '' } },
      { meta: {} },
      null,
    ];

    expect(listedKeys(list, { keys })).toEqual([
      { keyId: 'a', name: 'one', lastUsedAt: Date.parse('2026-11-21T22:17:00Z') },
      { keyId: '2', name: 'two', lastUsedAt: undefined },
      { keyId: 'c', name: 'three', lastUsedAt: undefined },
    ]);
  });

  it.each([
    ['there is no list', {}],
    ['one has a name and no id', { keys: [{ meta: { name: 'one' } }] }],
    [
      'a last use cannot be read: the key would pass for unused',
      { keys: [{ id: 'a', meta: { name: 'one' }, used: 'today' }] },
    ],
  ])('are none when %s', (_why, body) => {
    expect(() => listedKeys(list, body)).toThrow(expect.objectContaining({ code: 'http_answer_invalid' }));
  });
});

describe('isGone', () => {
  const answered = (status: number) =>
    new HttpRequestError('http_unexpected_status', '', { status, processed: 'no' });

  it('is an answer that says that there is no such key', () => {
    expect([404, 410, 400, 409].map((status) => isGone(revoke, answered(status)))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('is what the specification says', () => {
    expect(isGone({ ...revoke, gone_status: [400] }, answered(400))).toBe(true);
    expect(isGone({ ...revoke, gone_status: [] }, answered(404))).toBe(false);
  });

  it('is no other failure', () => {
    const lost = new HttpRequestError('http_unavailable', '', { processed: 'maybe' });

    expect(isGone(revoke, lost)).toBe(false);
    expect(isGone(revoke, Object.assign(new Error(), { status: 404 }))).toBe(false);
  });
});
