import { constants, createCipheriv, publicEncrypt, randomBytes } from 'node:crypto';
import pLimit from 'p-limit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { recovered, type StopPoint, stoppedAt } from '../../kinds/interrupted-worker.ts';
import { ask, documentOf, firstGeneration, rotateOnce } from '../../kinds/rotating.ts';
import { type PreparedTransit, prepareTransit } from '../../kinds/transit-key.ts';
import { adminOf } from '../../support/admin.ts';
import { createWorld, openWorld, type World, type WorldDescription } from '../../support/world.ts';

let described: WorldDescription;
let world: World;
let prepared: PreparedTransit;
let later = 0;
const now = () => Date.now() + later;

beforeAll(async () => {
  described = await createWorld();
  world = openWorld(described, { now, onError: () => {} });
  prepared = await prepareTransit(world);
});
beforeEach(() => {
  later = 0;
});
afterAll(() => world.close());

const first = (name: string, changes = {}) => firstGeneration(world, prepared, name, changes);
const keyOf = (name: string) => prepared.keys().read(name);
const stateOf = async (name: string) => (await documentOf(world, name)).state;
const eventsOf = (name: string) =>
  world.published.filter((event) => 'name' in event.data && event.data.name === name);

describe('generations', () => {
  it('begin with the version that is there, and each further one is one version', async () => {
    await first('versions');
    // The key had two versions before it was managed.
    expect(await keyOf('versions')).toMatchObject({ latestVersion: 2, minEncryptionVersion: 0 });
    expect(await stateOf('versions')).toMatchObject({ cur: { g: 1, h: { version: 2 } } });
    await rotateOnce(world, prepared, 'versions');
    await rotateOnce(world, prepared, 'versions');
    expect(await keyOf('versions')).toMatchObject({ latestVersion: 4 });
    expect(await stateOf('versions')).toMatchObject({ cur: { g: 3, h: { version: 4 } }, retiring: [] });
  });

  it('begin with a new version where what is there has leaked', async () => {
    const specified = await prepared.specify('leaked-before');
    await world.secrets.apply(specified);
    await ask(world, 'leaked-before', { reason: 'leak' });
    await rotateSecret(world.rotate, 'leaked-before');
    expect(await keyOf('leaked-before')).toMatchObject({ latestVersion: 3 });
  });

  it('go on from where somebody has rotated the key by hand, which is no drift', async () => {
    await first('by-hand');
    await prepared.keys().rotate('by-hand');
    later = 3_700_000;
    await rotateSecret(world.rotate, 'by-hand');
    expect(eventsOf('by-hand').map(({ type }) => type)).toEqual(['secret.rotated']);
    await rotateOnce(world, prepared, 'by-hand');
    expect(await stateOf('by-hand')).toMatchObject({ cur: { g: 2, h: { version: 4 } }, retiring: [] });
    expect(await keyOf('by-hand')).toMatchObject({ latestVersion: 4, minEncryptionVersion: 3 });
  });
});

describe('a version that is retired', () => {
  it('still decrypts, but no longer encrypts even when asked for', async () => {
    await first('old', { grace: '60s', deadline: '60s' });
    const ciphertext = await prepared.encrypt('old');
    await rotateOnce(world, prepared, 'old');
    expect(await prepared.encrypt('old', 2)).toMatch(/^vault:v2:/);
    later = 61_000;
    await rotateSecret(world.rotate, 'old');
    expect(await keyOf('old')).toMatchObject({ minEncryptionVersion: 3, minDecryptionVersion: 1 });
    await expect(prepared.encrypt('old', 2)).rejects.toThrow('400');
    expect(await prepared.encrypt('old')).toMatch(/^vault:v3:/);
    expect(await prepared.decrypt('old', ciphertext)).toBe(true);
  });

  it('stays as it is, if so specified', async () => {
    await first('kept', { retire: 'nothing' });
    await rotateOnce(world, prepared, 'kept');
    expect(await keyOf('kept')).toMatchObject({ latestVersion: 3, minEncryptionVersion: 0 });
    expect(await prepared.encrypt('kept', 2)).toMatch(/^vault:v2:/);
  });

  it('decrypts through the grace and no longer, if so specified', async () => {
    await first('unreadable', { retire: 'min_decryption_version', grace: '60s', deadline: '60s' });
    const ciphertext = await prepared.encrypt('unreadable');
    await rotateOnce(world, prepared, 'unreadable');
    later = 59_000;
    await rotateSecret(world.rotate, 'unreadable');
    expect(await prepared.decrypt('unreadable', ciphertext)).toBe(true);
    later = 61_000;
    await rotateSecret(world.rotate, 'unreadable');
    expect(await keyOf('unreadable')).toMatchObject({ minEncryptionVersion: 3, minDecryptionVersion: 3 });
    await expect(prepared.decrypt('unreadable', ciphertext)).rejects.toThrow('400');
  });

  it('is left alone where it is still the latest: removed, undone, or of a key made anew', async () => {
    await first('latest', { retire: 'min_decryption_version', grace: '60s', deadline: '60s' });
    const { cur } = await stateOf('latest');
    const rotator = world.rotate.rotatorOf('transit-key');
    const ended = { name: 'latest', generation: 2, published: undefined };
    const before = await keyOf('latest');
    for (const version of [2, 3, 9]) {
      await rotator?.revoke?.({ ...ended, handle: { ...cur?.h, version } });
    }
    await rotator?.revoke?.({
      ...ended,
      handle: { mount: 'transit', key: 'no-such-key', retire: 'nothing' },
    });
    expect(await keyOf('latest')).toEqual(before);
  });
});

describe('a key that is deleted', () => {
  it('is told, cannot be mended, and is rotated again once it is there', async () => {
    await first('deleted');
    const { request } = adminOf(world);
    const path = `${world.namespace}/transit/keys/deleted`;
    await request('POST', `${path}/config`, { deletion_allowed: true });
    await request('DELETE', path);
    later = 3_700_000;
    await rotateSecret(world.rotate, 'deleted');
    expect(eventsOf('deleted').slice(1)).toMatchObject([
      { type: 'secret.drift', data: { what: 'key_deleted' } },
      { type: 'secret.rotation_failed', data: { step: 'create', code: 'transit_key_missing' } },
    ]);
    await request('POST', path, {});
    later += 3_700_000;
    await rotateSecret(world.rotate, 'deleted');
    expect(await stateOf('deleted')).toMatchObject({ cur: { g: 2, h: { version: 2 } }, retiring: [] });
  });

  it('in a way that can be undone, counts as deleted until then', async () => {
    await first('soft');
    const path = `${world.namespace}/transit/keys/soft/soft-delete`;
    await adminOf(world).request('DELETE', path);
    expect(await keyOf('soft')).toBeUndefined();
  });

  it('and made anew with as many versions, is told apart by the time it was made', async () => {
    await first('anew');
    const { cur } = await stateOf('anew');
    const inspect = async (made_at: string) =>
      world.rotate
        .rotatorOf('transit-key')
        ?.inspect?.(
          (await documentOf(world, 'anew')).spec,
          { name: 'anew', generation: 1, handle: { ...cur?.h, made_at }, published: undefined },
          async () => undefined,
        );
    expect(await inspect(String(cur?.h.made_at))).toBeUndefined();
    expect(await inspect('1000000000')).toBe('key_replaced');
  });
});

describe('a key that was imported', () => {
  const wrappingKey = z.object({ data: z.object({ public_key: z.string() }) });

  /** As the transit engine's "Bring your own key" describes it: AES-KWP under a key that is under RSA-OAEP. */
  async function imported(name: string, changes: object) {
    const { request, read } = adminOf(world);
    const mount = `${world.namespace}/transit`;
    const { data } = await read(wrappingKey, 'GET', `${mount}/wrapping_key`);
    const ephemeral = randomBytes(32);
    const cipher = createCipheriv('id-aes256-wrap-pad', ephemeral, Buffer.from('A65959A6', 'hex'));
    const wrapped = Buffer.concat([cipher.update(randomBytes(32)), cipher.final()]);
    const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
    const ciphertext = Buffer.concat([
      publicEncrypt({ key: data.public_key, ...padding }, ephemeral),
      wrapped,
    ]);
    await request('POST', `${mount}/keys/${name}/import`, {
      type: 'aes256-gcm96',
      hash_function: 'SHA256',
      ciphertext: ciphertext.toString('base64'),
      ...changes,
    });
    await world.secrets.apply({ kind: 'transit-key', name, key: name });
    await rotateSecret(world.rotate, name);
  }

  it('is not taken where Vault would not rotate it', async () => {
    await imported('not-rotatable', {});
    expect(eventsOf('not-rotatable')).toMatchObject([
      { type: 'secret.rotation_failed', data: { step: 'create', code: 'transit_key_not_rotatable' } },
    ]);
  });

  it('is rotated where its owner has allowed it', async () => {
    await imported('rotatable', { allow_rotation: true });
    await rotateOnce(world, prepared, 'rotatable');
    expect(await keyOf('rotatable')).toMatchObject({ latestVersion: 2 });
  });
});

describe('a call that cannot be fenced', () => {
  /** The key is rotated, but no answer comes. */
  const losing = (real: Transport): Transport => ({
    exchange: async (request) => {
      const answer = await real.exchange(request);
      if (!request.path.endsWith('/rotate')) return answer;
      throw new VaultError('vault_timeout', 'No answer.', { processed: 'maybe' });
    },
    close: () => real.close(),
  });

  it('has its answer lost: the key tells that it was done, and it is not done again', async () => {
    await first('lost');
    await ask(world, 'lost', { reason: 'demand' });
    const other = openWorld(described, { now, transport: losing });
    await rotateSecret(other.rotate, 'lost');
    await other.close();
    expect(await stateOf('lost')).toMatchObject({
      phase: 'idle',
      failures: 0,
      cur: { g: 2, h: { version: 3 } },
    });
    expect(await keyOf('lost')).toMatchObject({ latestVersion: 3 });
  });

  it('is not made by a worker whose claim may have run out', async () => {
    await first('overslept');
    const { cur } = await stateOf('overslept');
    const { version, ...before } = cur?.h ?? {};
    const { spec } = await documentOf(world, 'overslept');
    const attempt = {
      id: 'any',
      generation: 2,
      spec,
      current: cur?.h,
      retiring: [],
      urgent: false,
      assertClaimed: () => {
        throw new Error('not ours any more');
      },
    };
    const apply = world.rotate
      .rotatorOf('transit-key')
      ?.apply?.(attempt, { ...before, from: 2 }, async () => undefined);
    await expect(apply).rejects.toThrow('not ours any more');
    expect(await keyOf('overslept')).toMatchObject({ latestVersion: version });
  });
});

describe('a worker that stops', () => {
  const limit = pLimit(3);
  /** More calls than a rotation has: those beyond its end find it done. */
  const CALLS = 24;
  const calls = Array.from({ length: CALLS }, (_, call) => call + 1);
  const scene = (point: StopPoint) =>
    stoppedAt(described, prepared, `stop-${point.when}-${point.call}-${later}`, point);

  it('for ever, before or after any call: one rotation, one version', async () => {
    const points = calls.flatMap((call): StopPoint[] => [
      { call, when: 'before' },
      { call, when: 'after' },
    ]);
    const stopped = await Promise.all(
      points.map((point) =>
        limit(async () => {
          const stop = await scene(point);
          if (stop === undefined) return 0;
          await recovered(stop);
          const { state } = await documentOf(stop.others, stop.name);
          const key = await keyOf(stop.name);
          expect({ ...point, g: state.cur?.g, version: state.cur?.h.version, key }).toMatchObject({
            ...point,
            g: 2,
            version: 3,
            key: { latestVersion: 3, minEncryptionVersion: 3 },
          });
          await stop.others.close();
          return 1;
        }),
      ),
    );
    const count = stopped.filter((one) => one === 1).length;
    console.log(`kind transit-key: killed at ${count} points, one version each`);
    expect(count).toBeGreaterThan(25);
    expect(count).toBeLessThan(points.length);
  }, 240_000);

  it('for hours before any call, then goes on: at most one version too many, and nothing that is in use ends', async () => {
    later = 1;
    const ends = await Promise.all(
      calls.map((call) =>
        limit(async () => {
          const stop = await scene({ call, when: 'before' });
          if (stop === undefined) return undefined;
          await recovered(stop);
          await rotateOnce(stop.others, prepared, stop.name);
          await recovered(stop);
          const ciphertext = await prepared.encrypt(stop.name);
          await stop.wake();
          await recovered(stop);
          const { state } = await documentOf(stop.others, stop.name);
          const key = await keyOf(stop.name);
          expect({ call, g: state.cur?.g, version: state.cur?.h.version }).toEqual({
            call,
            g: 3,
            version: 4,
          });
          expect(await prepared.decrypt(stop.name, ciphertext)).toBe(true);
          expect(await prepared.works(stop.name, undefined)).toBe(true);
          expect(key?.minEncryptionVersion).toBeLessThanOrEqual(4);
          await stop.others.close();
          return { call, latest: key?.latestVersion ?? 0, minimum: key?.minEncryptionVersion ?? 0 };
        }),
      ),
    );
    const slept = ends.filter((end) => end !== undefined);
    console.log(
      `kind transit-key: asleep before each of ${slept.length} calls, one version too many in one of them`,
    );
    expect(slept.length).toBeGreaterThan(12);
    // The one call that no check-and-set can guard; and the one that raises the minimum.
    expect(slept.filter(({ latest }) => latest > 4).map(({ latest }) => latest)).toEqual([5]);
    expect(slept.filter(({ minimum }) => minimum < 4).map(({ minimum }) => minimum)).toEqual([3]);
  }, 240_000);
});
