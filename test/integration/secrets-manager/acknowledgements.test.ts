import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import type { AuditInput, SecretsManager, SecretsManagerOptions, Transport } from '../../../lib/index.ts';
import { readAcknowledgements } from '../../../lib/rotation/acknowledgements.ts';
import { initialState } from '../../../lib/rotation/state.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { acknowledgementPath } from '../../../lib/vault/acknowledgements.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { until } from '../../support/until.ts';
import { type Ground, prepareGround, recording } from './ground.ts';
import { listening } from './listening.ts';
import { publishedAt } from './publish.ts';

const AS = 'inference';
let ground: Ground;
let client: VaultClient;
let state: KvStore;

beforeAll(async () => {
  const { address, rootToken } = inject('openbao');
  ground = await prepareGround({ consumer: AS });
  client = new VaultClient({ transport: createTransport({ address }) });
  state = new KvStore(actingWith(client, new Secret(rootToken)), ground.stateMount);
});
afterAll(() => client.close());

/** A manager that reads anew at every call. */
function open(options: SecretsManagerOptions = {}): SecretsManager {
  const manager = ground.manager({
    refreshMs: 0,
    acknowledge: { as: AS, stateMount: ground.stateMount },
    ...options,
  });
  onTestFinished(() => manager.cleanup());
  return manager;
}

/** What `rotate` reads. */
async function acknowledged(name: string): Promise<number | undefined> {
  return (await readAcknowledgements(state, name, [AS], initialState(0, 'at_once')))[AS];
}

/** A managed secret at its first generation, which the manager has read. */
async function begun(name: string, manager: SecretsManager) {
  const at = publishedAt(ground, name);
  await at.publish(1);
  const read = () => manager.getDynamicSecret(at.path);
  await read();
  return { ...at, read };
}

const toAcks = (name = '') => ground.requests.filter(({ path }) => path.includes(`/acks/${name}`));

/** Nothing is written, and nobody has begun to. */
async function expectNone(name: string): Promise<void> {
  expect(await acknowledged(name)).toBeUndefined();
  expect(toAcks(`${name}/`)).toEqual([]);
}

describe('a new generation is acknowledged', () => {
  test('once every handler has finished, and not before', async () => {
    const manager = open();
    const told = listening(manager);
    const { publish, read } = await begun('handled', manager);
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    for (const { promise } of gates) manager.on('rotated', () => promise);
    await publish(2);
    await read();
    await until(() => told.rotated.length === 1);

    gates[0]?.resolve();
    await read();
    await expectNone('handled');
    gates[1]?.resolve();

    await until(async () => (await acknowledged('handled')) === 2);
    expect(told.fault).toEqual([]);
  });

  test('even when its handler takes longer than the manager waits for one', async () => {
    const manager = open({ handlerTimeoutMs: 1 });
    const { publish, read } = await begun('slow', manager);
    const gate = Promise.withResolvers<void>();
    manager.on('rotated', () => gate.promise);
    await publish(2);
    await read();
    await read();
    await expectNone('slow');
    gate.resolve();

    await until(async () => (await acknowledged('slow')) === 2);
  });

  test('without handlers as soon as it is read: whoever has none asks each time', async () => {
    const manager = open();
    const { publish, read } = await begun('asked', manager);
    await expectNone('asked');
    await publish(2);
    await read();

    await until(async () => (await acknowledged('asked')) === 2);
  });

  test('by the later of two, whichever handler ends first', async () => {
    const lost = { left: 1 };
    const manager = open({ transport: losingWrites(lost) });
    const told = listening(manager);
    const { publish, read } = await begun('overtaken', manager);
    const gates = new Map<number | undefined, PromiseWithResolvers<void>>();
    manager.on('rotated', ({ current }) => {
      const gate = Promise.withResolvers<void>();
      gates.set(current.generation, gate);
      return gate.promise;
    });
    for (const generation of [2, 3]) {
      await publish(generation);
      await read();
    }
    // Of the later one the write is lost, so that it is still to be made when the earlier one's handler ends.
    gates.get(3)?.resolve();
    await until(() => told.fault.length === 1);
    gates.get(2)?.resolve();
    await new Promise(setImmediate);
    await read();

    await until(async () => (await acknowledged('overtaken')) === 3);
  });

  test('at the next read, where value and metadata were not yet both there', async () => {
    const manager = open();
    const { write, stamp, read } = await begun('late', manager);
    const version = await write({ key: 'g2' });
    await read();
    await read();
    await expectNone('late');
    await stamp(2, version);
    await read();

    await until(async () => (await acknowledged('late')) === 2);
  });

  test('at the next read, when the write was lost', async () => {
    const lost = { left: 1 };
    const manager = open({ transport: losingWrites(lost) });
    const told = listening(manager);
    const { publish, read } = await begun('lost', manager);
    await publish(2);
    await read();
    await until(() => told.fault.length === 1);
    expect(told.fault).toMatchObject([{ operation: 'acknowledge', error: { code: 'vault_unreachable' } }]);
    expect(await acknowledged('lost')).toBeUndefined();
    await read();

    await until(async () => (await acknowledged('lost')) === 2);
    const before = toAcks().length;
    await read();
    expect(toAcks().length).toBe(before);
  });
});

describe('nothing is acknowledged', () => {
  test('when a handler fails, which is told', async () => {
    const manager = open();
    const told = listening(manager);
    const { publish, read } = await begun('failed', manager);
    manager.on('rotated', () => {});
    manager.on('rotated', () => Promise.reject(new Error('The pool is not ready.')));
    await publish(2);
    await read();
    await until(() => told.fault.length === 1);
    await read();
    await manager.cleanup();

    expect(told.fault).toMatchObject([{ operation: 'handler' }]);
    await expectNone('failed');
  });

  test('unless it is configured', async () => {
    const manager = open({ acknowledge: undefined });
    const told = listening(manager);
    const { publish, read, path } = await begun('off', manager);
    ground.requests.length = 0;
    await publish(2);
    await read();
    await until(() => told.rotated.length === 1);
    await read();

    expect(toAcks()).toEqual([]);
    await expect(manager.acknowledge({ path, version: 2 })).rejects.toMatchObject({
      code: 'acknowledge_not_configured',
    });
  });

  test('of what Leasekeeper has not published', async () => {
    const manager = open();
    const told = listening(manager);
    const at = publishedAt(ground, 'by-hand');
    ground.requests.length = 0;
    for (const word of ['one', 'two', 'three']) {
      await at.write({ key: word });
      await manager.getDynamicSecret(at.path);
    }
    await until(() => told.rotated.length === 2);

    expect([toAcks(), told.fault]).toEqual([[], []]);
    await expect(manager.acknowledge(await manager.getSecret(at.path))).rejects.toMatchObject({
      code: 'generation_unknown',
    });
  });

  test('after cleanup, by a handler that still ran', async () => {
    const manager = open();
    const told = listening(manager);
    const { publish, read } = await begun('ended', manager);
    const gate = Promise.withResolvers<void>();
    manager.on('rotated', () => gate.promise);
    await publish(2);
    await read();
    await manager.cleanup();
    ground.requests.length = 0;
    gate.resolve();
    await new Promise(setImmediate);

    expect([ground.requests, told.fault]).toEqual([[], []]);
  });

  test('as another consumer than the policy says, and that is told', async () => {
    const manager = open({ acknowledge: { as: 'somebody-else', stateMount: ground.stateMount } });
    const told = listening(manager);
    const { publish, read } = await begun('denied', manager);
    await publish(2);
    await read();
    await until(() => told.fault.length === 1);

    expect(told.fault).toMatchObject([{ operation: 'acknowledge', error: { code: 'vault_denied' } }]);
    expect((await state.read(acknowledgementPath('denied', 'somebody-else'))).entry).toBeUndefined();
  });
});

test('a process that starts with a generation can say that it uses it', async () => {
  const manager = open();
  const at = publishedAt(ground, 'started');
  await at.publish(4);
  const secret = await manager.getSecret(at.path);
  await at.publish(5);

  await manager.acknowledge(secret);

  expect(await acknowledged('started')).toBe(4);
});

test('each is audited and counted, and holds no value', async () => {
  const lines: AuditInput[] = [];
  const manager = open({ audit: (line) => lines.push(line) });
  const { publish, read, path } = await begun('audited', manager);
  await publish(2);
  await read();
  await until(async () => (await acknowledged('audited')) === 2);
  await manager.cleanup();

  expect(lines.filter(({ action }) => action === 'ack')).toMatchObject([{ path, outcome: 'ok' }]);
  expect(await manager.metrics()).toContain('leasekeeper_acknowledgements_total{outcome="written"} 1');
  expect(JSON.stringify(lines)).not.toContain('g2');
});

/** Loses the answer to so many writes of acknowledgements before they are made. */
function losingWrites(lost: { left: number }): Transport {
  const real = recording(ground.requests);
  return {
    exchange: async (request) => {
      if (request.method === 'PUT' && request.path.includes('/acks/') && lost.left > 0) {
        lost.left -= 1;
        throw new VaultError('vault_unreachable', 'The connection broke off.', { processed: 'maybe' });
      }
      return real.exchange(request);
    },
    close: () => real.close(),
  };
}
