import { beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { readPolicyFile } from '../../../lib/host/setup/policy-files.ts';
import { renderPolicy } from '../../../lib/host/setup/render-policy.ts';
import { rotateShard } from '../../../lib/rotation/rotate.ts';
import { acknowledgementPath } from '../../../lib/vault/acknowledgements.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { leaseSpecification, openWorld } from '../../support/world.ts';
import {
  type AccessWorld,
  createAccessWorld,
  createToken,
  type Functions,
  openFunctions,
  problem,
} from './access-world.ts';

let world: AccessWorld;
let operator: string;
let gateway: string;
let functions: Functions;

beforeAll(async () => {
  world = await createAccessWorld();
  operator = await createToken([world.operatorPolicy]);
  const policy = uniqueName('consumer');
  const template = await readPolicyFile('leasekeeper-consumer');
  await admin(inject).request('PUT', `sys/policies/acl/${policy}`, {
    policy: renderPolicy(template, { state: world.stateMount, consumer: 'gateway' }),
  });
  gateway = await createToken([policy]);
});
beforeEach(() => {
  functions = openFunctions(world);
});

const acknowledge = (body: unknown, name = 'app-database', token = gateway) =>
  functions.manage('POST', `/v1/secrets/${name}/acks`, { headers: { 'x-vault-token': token }, body });

/** The managed secrets that somebody was sent to, as messages that no worker has merged. */
async function hints(): Promise<number> {
  const opened = openWorld(world);
  const waiting = await opened.store.list('agenda/rotations/inbox/0');
  await opened.close();
  return waiting.length;
}

async function stored(consumer: string): Promise<unknown> {
  const opened = openWorld(world);
  const { entry } = await opened.store.read(acknowledgementPath('app-database', consumer));
  await opened.close();
  return entry?.data;
}

describe('a consumer', () => {
  it('has its acknowledgement written with its own token, and a worker is sent', async () => {
    const before = await hints();

    expect(await acknowledge({ consumer: 'gateway', generation: 3 })).toMatchObject({
      status: 202,
      body: { name: 'app-database', consumer: 'gateway', generation: 3 },
    });

    expect(await stored('gateway')).toEqual({ generation: 3 });
    expect(await hints()).toBe(before + 1);
    expect(functions.published).toMatchObject([{ type: 'rotation.due', data: { shard: 0 } }]);
    expect(functions.audited).toMatchObject([
      { action: 'ack', path: '/v1/secrets/app-database/acks', outcome: 'ok', who: { display_name: 'token' } },
    ]);
  });

  it('never goes back, and sends nobody for what is known', async () => {
    const before = await hints();

    expect(await acknowledge({ consumer: 'gateway', generation: 2 })).toMatchObject({
      status: 202,
      body: { generation: 3 },
    });

    expect(await stored('gateway')).toEqual({ generation: 3 });
    expect([await hints(), functions.published]).toEqual([before, []]);
  });

  it('speaks for no other, and cannot read the document', async () => {
    const before = await hints();

    expect(await acknowledge({ consumer: 'inference', generation: 3 })).toMatchObject(
      problem(403, 'vault_denied'),
    );

    expect(await stored('inference')).toBeUndefined();
    expect([await hints(), functions.published]).toEqual([before, []]);
    expect(functions.audited).toMatchObject([{ action: 'ack', outcome: 'denied', code: 'vault_denied' }]);
    const headers = { 'x-vault-token': gateway };
    expect(await functions.manage('GET', '/v1/managed/app-database', { headers })).toMatchObject(
      problem(403, 'vault_denied'),
    );
  });

  it.each([
    { generation: 1 },
    { consumer: 'gateway' },
    { consumer: 'gateway', generation: 0 },
    { consumer: 'gateway', generation: 1.5 },
    { consumer: 'gateway', generation: '1' },
    { consumer: '../gateway', generation: 1 },
    { consumer: 'gateway', generation: 1, name: 'x' },
  ])('that sends %o is told what is wrong', async (body) => {
    expect(await acknowledge(body)).toMatchObject(problem(422, 'body_invalid'));
  });

  it('is told of a name that cannot be one, before Vault is asked', async () => {
    expect(await acknowledge({ consumer: 'gateway', generation: 1 }, 'A b')).toMatchObject(
      problem(400, 'name_invalid'),
    );
    expect(functions.exchanges).toEqual([]);
  });

  it('is answered when nobody can be sent', async () => {
    const identities = { ...world.identities, manage: await createToken(['default']) };
    functions = openFunctions(
      { ...world, identities },
      { bus: { publish: () => Promise.reject(new Error('The bus is down.')) } },
    );

    expect((await acknowledge({ consumer: 'gateway', generation: 4 })).status).toBe(202);
    expect(await stored('gateway')).toEqual({ generation: 4 });
  });
});

it('the old generation is retired once its consumer has acknowledged the new one, long before the deadline', async () => {
  const opened = openWorld(world);
  const name = 'awaited';
  const headers = { 'x-vault-token': operator };
  await functions.manage('PUT', `/v1/managed/${name}`, {
    headers,
    body: leaseSpecification(world, {
      name,
      publish: `app/${name}`,
      consumers: ['gateway'],
      grace: '0s',
      deadline: '6h',
    }),
  });
  const work = () => rotateShard(opened.rotate, { shard: 0 });
  const shown = async () => (await functions.manage('GET', `/v1/managed/${name}`, { headers })).body;
  await work();
  await functions.manage('POST', `/v1/managed/${name}/rotate`, { headers });
  await work();
  expect(await shown()).toMatchObject({
    generation: 2,
    retiring: [{ generation: 1, waiting_for: ['gateway'] }],
  });

  // For the one that is going it says nothing.
  await acknowledge({ consumer: 'gateway', generation: 1 }, name);
  await work();
  expect(await shown()).toMatchObject({ retiring: [{ generation: 1, waiting_for: ['gateway'] }] });
  await acknowledge({ consumer: 'gateway', generation: 2 }, name);
  await work();

  expect(await shown()).toMatchObject({
    acknowledged: { gateway: 2 },
    retiring: [],
    history: [{ generation: 2 }, { generation: 1, retired_because: 'adopted' }],
  });
  await opened.close();
});
