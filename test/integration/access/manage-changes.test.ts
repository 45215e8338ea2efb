import { beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { rotateShard } from '../../../lib/rotation/rotate.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { admin } from '../../support/admin.ts';
import { leaseSpecification, liveRoles, openWorld } from '../../support/world.ts';
import {
  type AccessWorld,
  type Asked,
  createAccessWorld,
  createToken,
  type Functions,
  openFunctions,
  problem,
} from './access-world.ts';

let world: AccessWorld;
let operator: string;
let application: string;
let functions: Functions;

beforeAll(async () => {
  world = await createAccessWorld();
  operator = await createToken([world.operatorPolicy]);
  application = await createToken([world.appPolicy]);
});
beforeEach(() => {
  functions = openFunctions(world);
});

const as = (token: string, asked: Asked = {}) => ({
  ...asked,
  headers: { 'x-vault-token': token, ...asked.headers },
});
const ask = (method: string, name: string, asked: Asked = {}, token = operator) =>
  functions.manage(method, `/v1/managed/${name}`, as(token, asked));
const specification = (name: string) => leaseSpecification(world, { name, publish: `app/${name}` });
const apply = (name: string, body: unknown = specification(name), headers = {}) =>
  ask('PUT', name, { body, headers });
const show = (name: string) => ask('GET', name);

/** Whatever is due is done, as `rotate` would do it. */
async function work(): Promise<void> {
  const opened = openWorld(world);
  await rotateShard(opened.rotate, { shard: 0 });
  await opened.close();
}

describe('applying a specification', () => {
  it('creates with 201, changes with 200, and sends a worker', async () => {
    expect(await apply('one')).toMatchObject({ status: 201, body: { name: 'one', generation: null } });
    expect(await apply('one', { ...specification('one'), grace: '20s' })).toMatchObject({
      status: 200,
      body: { specification: { grace: '20s' } },
    });
    expect(functions.published.map(({ type }) => type)).toEqual(['rotation.due', 'rotation.due']);
    await work();
    expect(await show('one')).toMatchObject({ body: { phase: 'idle', generation: 1 } });
  });

  it('takes YAML, by its content type', async () => {
    const yaml = Object.entries(specification('two'))
      .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
      .join('\n');

    expect(await apply('two', yaml)).toMatchObject(problem(400, 'body_not_json'));
    for (const type of ['application/x-yaml', 'Application/YAML; charset=utf-8'])
      expect((await apply('two', yaml, { 'content-type': type })).status).toBeLessThan(300);
    expect(await show('two')).toMatchObject({ body: { specification: { source: 'database/creds/app' } } });
  });

  it('only creates, where that is said, and one of many wins', async () => {
    const only = { 'if-none-match': '*' };
    const answers = await Promise.all(Array.from({ length: 8 }, () => apply('three', undefined, only)));

    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array(7).fill(412)]);
    expect(await apply('three', undefined, only)).toMatchObject(problem(412, 'managed_secret_exists'));
    expect(await show('three')).toMatchObject({ body: { document_version: 1 } });
  });

  it('names each fault with its field, and changes nothing', async () => {
    const wrong = { ...specification('four'), grace: 'ten minutes', token_role: undefined, sauce: 'canary' };

    const answer = await apply('four', wrong);

    expect(answer).toMatchObject(problem(422, 'specification_invalid'));
    const { errors } = z
      .object({ errors: z.array(z.object({ field: z.string(), message: z.string() })) })
      .parse(answer.body);
    expect(errors).toContainEqual({
      field: 'grace',
      message: expect.stringContaining('expected a duration'),
    });
    expect(errors).toContainEqual({ field: 'token_role', message: expect.stringContaining('is missing') });
    expect(JSON.stringify(answer)).not.toContain('canary');
    expect((await show('four')).status).toBe(404);
    expect(functions.published).toEqual([]);
  });

  it('under another name than that of the path is refused', async () => {
    expect(await apply('four', specification('five'))).toMatchObject({
      ...problem(422, 'specification_invalid'),
      body: { errors: [{ field: 'name', message: 'expected four, as the path has it' }] },
    });
  });

  it.each([
    ['no YAML', 'a: [', 'line 1'],
    ['two documents', 'a: 1\n---\na: 2', 'line 2'],
    ['aliases without end', bomb(), ''],
  ])('in YAML that is %s is refused without being quoted', async (_what, yaml, where) => {
    const answer = await apply('four', yaml, { 'content-type': 'application/yaml' });
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'body_not_yaml', detail: expect.stringContaining(where) },
    });
  });

  it('is denied by Vault to whoever is no operator', async () => {
    expect(await ask('PUT', 'four', { body: specification('four') }, application)).toMatchObject(
      problem(403, 'vault_denied'),
    );
    expect(functions.audited).toMatchObject([{ action: 'manage', outcome: 'denied', code: 'vault_denied' }]);
  });
});

describe('a paused secret', () => {
  it('says who paused it, and takes no demand until it is resumed', async () => {
    await apply('paused');
    await work();
    expect(await ask('POST', 'paused/pause')).toMatchObject({
      status: 200,
      body: { paused: { by: 'token', at: expect.any(String) } },
    });
    expect((await ask('POST', 'paused/pause')).status).toBe(200);
    for (const query of [{}, { revoke: 'immediately' }]) {
      const refused = await ask('POST', 'paused/rotate', { query });
      expect(refused).toMatchObject(problem(409, 'managed_secret_paused'));
      expect(refused.body).toHaveProperty('hint', 'Resume it first.');
    }
    expect(await ask('POST', 'paused/resume')).toMatchObject({ status: 200 });
    expect((await show('paused')).body).not.toHaveProperty('paused');
    expect((await ask('POST', 'paused/rotate')).status).toBe(202);
  });
});

describe('removing', () => {
  it('asks what becomes of the credentials', async () => {
    const missing = await ask('DELETE', 'one');
    expect(missing).toMatchObject(problem(400, 'credentials_parameter_missing'));
    expect(missing.body).toHaveProperty('hint', expect.stringMatching(/=revoke .*=keep /));
    expect(await ask('DELETE', 'one', { query: { credentials: 'burn' } })).toMatchObject(
      problem(400, 'parameter_invalid'),
    );
    expect(await show('one')).toMatchObject({ body: { generation: 1 } });
  });

  it('hides it from the list, revokes after the grace, and can be taken back', async () => {
    await apply('gone', { ...specification('gone'), grace: '0s', deadline: '0s' });
    await work();
    const roles = await liveRoles(world);

    const revoke = { query: { credentials: 'revoke' } };
    expect(await ask('DELETE', 'gone', revoke)).toMatchObject({
      status: 202,
      body: { removed: { credentials: 'revoke', by: 'token' } },
    });
    await work();

    expect(await liveRoles(world)).toHaveLength(roles.length - 1);
    expect((await ask('DELETE', 'gone', revoke)).status).toBe(202);
    expect(await ask('DELETE', 'gone', { query: { credentials: 'keep' } })).toMatchObject(
      problem(410, 'managed_secret_removed'),
    );
    for (const what of ['rotate', 'pause', 'resume'])
      expect(await ask('POST', `gone/${what}`)).toMatchObject(problem(410, 'managed_secret_removed'));
    expect(await names()).not.toContain('gone');
    expect(await names({ removed: 'true' })).toContain('gone');
    expect(await apply('gone', undefined, { 'if-none-match': '*' })).toMatchObject({ status: 412 });

    expect((await apply('gone')).status).toBe(200);
    await work();
    expect(await show('gone')).toMatchObject({ body: { generation: 2 } });
    expect((await show('gone')).body).not.toHaveProperty('removed');
  });
});

describe('supplying a value', () => {
  const CANARY = 'supplied-canary-77aa';
  const manual = { kind: 'manual', name: 'by-hand', publish: 'app/by-hand', grace: '1s', deadline: '1s' };
  const supply = (name: string, body: unknown, token?: string) =>
    ask('PUT', `${name}/value`, { body }, token);

  it('has it rotated in, and shows it to nobody but readers', async () => {
    expect((await apply('by-hand', manual)).status).toBe(201);
    const answer = await supply('by-hand', { value: { key: CANARY } });
    expect(answer).toMatchObject({ status: 202, body: { next_reason: 'supplied' } });
    await work();

    const shown = await show('by-hand');
    expect(shown).toMatchObject({ body: { generation: 1, history: [{ reason: 'supplied', by: 'token' }] } });
    const read = await functions.fetch('GET', '/v1/secrets/app/by-hand', as(application));
    expect(read.body).toEqual({ data: { key: CANARY }, version: 1, generation: 1 });
    expect(JSON.stringify([answer, shown, functions.audited, functions.published])).not.toContain(CANARY);
    await expect(
      admin(inject).request(
        'GET',
        `${world.stateMount}/metadata/supplied/by-hand?list=true`,
        undefined,
        operator,
      ),
    ).rejects.toMatchObject({ status: 403 });
  });

  it('is stored once when the answer to the write was lost', async () => {
    const before = await supplied('by-hand');
    functions = openFunctions(world, { transport: losingOneAnswer });
    expect((await supply('by-hand', { value: { key: CANARY } })).status).toBe(202);
    expect(await supplied('by-hand')).toHaveLength(before.length + 1);
    await work();
    expect(await show('by-hand')).toMatchObject({ body: { generation: 2 } });
  });

  it('is refused for a secret whose values people do not supply', async () => {
    expect(await supply('one', { value: { key: CANARY } })).toMatchObject(
      problem(409, 'managed_secret_not_manual'),
    );
    expect(await supply('absent', { value: { key: CANARY } })).toMatchObject(
      problem(404, 'managed_secret_unknown'),
    );
    expect(await supplied()).not.toContain('one/');
  });

  it('is refused while it is paused, and nothing is stored', async () => {
    await ask('POST', 'by-hand/pause');
    const before = await supplied('by-hand');
    expect(await supply('by-hand', { value: { key: CANARY } })).toMatchObject(
      problem(409, 'managed_secret_paused'),
    );
    expect(await supplied('by-hand')).toEqual(before);
  });

  it.each([
    ['a text', { value: CANARY }],
    ['no field', { value: {} }],
    ['more than a value', { value: { key: CANARY }, name: 'x' }],
    ['a number that Vault would change', { value: { key: 2 ** 60 } }],
  ])('that is %s is refused, and not repeated', async (_what, body) => {
    const answer = await supply('by-hand', body);
    expect(answer).toMatchObject(problem(422, 'body_invalid'));
    expect(JSON.stringify(answer)).not.toContain(CANARY);
  });

  it('is denied to whoever is no operator', async () => {
    expect(await supply('by-hand', { value: { key: CANARY } }, application)).toMatchObject(
      problem(403, 'vault_denied'),
    );
  });

  /** What waits to be rotated in, as an administrator sees it. */
  async function supplied(name = ''): Promise<readonly string[]> {
    const listed = z.object({ data: z.object({ keys: z.array(z.string()) }) });
    const path = `${world.stateMount}/metadata/supplied/${name}?list=true`;
    try {
      return (await admin(inject).read(listed, 'GET', path)).data.keys;
    } catch {
      return [];
    }
  }
});

describe('the list', () => {
  it('comes in pages', async () => {
    const all = await names();
    expect(all.length).toBeGreaterThan(2);
    const first = await list({ limit: '2' });
    expect([first.managed.map(({ name }) => name), first.next]).toEqual([all.slice(0, 2), all[1]]);
    expect(await names({ after: first.next ?? '' })).toEqual(all.slice(2));
    expect((await list({ limit: '500' })).next).toBeUndefined();
  });

  it('shows what cannot be read, beside the others', async () => {
    await admin(inject).request('POST', `${world.stateMount}/data/secrets/broken`, {
      data: { specification: { kind: 'of-tomorrow' }, state: {} },
      options: { cas: 0 },
    });
    const { managed } = await list();
    expect(managed).toContainEqual({ name: 'broken', unreadable: true });
    expect(managed.length).toBeGreaterThan(2);
  });

  it.each([{ limit: '0' }, { limit: '501' }, { limit: 'all' }, { after: '../x' }, { removed: 'yes' }])(
    'asked for with %o is refused',
    async (query) => {
      expect(await functions.manage('GET', '/v1/managed', as(operator, { query }))).toMatchObject(
        problem(400, 'parameter_invalid'),
      );
    },
  );
});

it('a demand says nothing but immediately', async () => {
  expect(await ask('POST', 'one/rotate', { query: { revoke: 'soon' } })).toMatchObject(
    problem(400, 'parameter_invalid'),
  );
});

it('what is not there cannot be changed', async () => {
  for (const what of ['rotate', 'pause', 'resume'])
    expect(await ask('POST', `absent/${what}`)).toMatchObject(problem(404, 'managed_secret_unknown'));
  expect(await ask('DELETE', 'absent', { query: { credentials: 'keep' } })).toMatchObject(
    problem(404, 'managed_secret_unknown'),
  );
  expect(functions.published).toEqual([]);
});

it('what has been done stays done when no worker can be sent', async () => {
  functions = openFunctions(world, { bus: { publish: () => Promise.reject(new Error('The bus is down.')) } });
  expect((await ask('POST', 'one/rotate')).status).toBe(202);
  expect(await show('one')).toMatchObject({ body: { next_reason: 'demand' } });
});

const pageSchema = z.object({
  managed: z.array(z.object({ name: z.string() }).loose()),
  next: z.string().optional(),
});

async function list(query: Record<string, string> = {}) {
  return pageSchema.parse((await functions.manage('GET', '/v1/managed', as(operator, { query }))).body);
}

async function names(query?: Record<string, string>): Promise<readonly string[]> {
  return (await list(query)).managed.map(({ name }) => name);
}

/** The write of a supplied value goes through, and nobody learns of it. */
function losingOneAnswer(real: Transport): Transport {
  let lost = 0;
  return {
    exchange: async (request) => {
      const answer = await real.exchange(request);
      if (!request.path.includes('/supplied/') || lost > 0) return answer;
      lost += 1;
      throw new VaultError('vault_unreachable', 'The connection broke off.', { processed: 'maybe' });
    },
    close: () => real.close(),
  };
}

/** A few bytes that would become millions. */
function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, level) => {
    const items = Array(9)
      .fill(level === 0 ? 'x' : `*a${level - 1}`)
      .join(', ');
    return `a${level}: &a${level} [${items}]`;
  });
  return levels.join('\n');
}
