import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { ApiKeyRequests } from '../../../../lib/rotation/rotators/http/api-key-requests.ts';
import type { DeclaredRequest } from '../../../../lib/rotation/rotators/http/declared-request.ts';
import { fillRequest } from '../../../../lib/rotation/rotators/http/fill-request.ts';
import { createdKey, isGone, listedKeys } from '../../../../lib/rotation/rotators/http/key-answers.ts';
import { presetOf } from '../../../../lib/rotation/rotators/http/presets.ts';
import {
  placeholderValues,
  type RequestValues,
} from '../../../../lib/rotation/rotators/http/request-values.ts';
import { Secret } from '../../../../lib/telemetry/secret.ts';
import { type NgcFault, NgcServer } from '../../../support/ngc-server.ts';
import { sender } from './sending.ts';

const START = Date.parse('2026-11-21T22:17:00Z');
const DAY = 86_400_000;

let now: number;
let ngc: NgcServer;
let requests: ApiKeyRequests;

beforeEach(async () => {
  now = START;
  ngc = await NgcServer.start({ now: () => now });
  onTestFinished(() => ngc.close());
  requests = presetOf('nvidia-ngc', {
    org: ngc.org,
    policies: [{ product: 'nv-cloud-functions' }],
    base_url: ngc.url,
    insecure_http: true,
  });
});

function send(request: DeclaredRequest | undefined, values: Partial<RequestValues> = {}) {
  if (request === undefined) throw new Error('There is no such request.');
  const auth = new Secret({ api_key: ngc.adminKey });
  const filled = fillRequest(
    request,
    placeholderValues({ parameters: requests.parameters, auth, ...values }),
  );
  return sender().send(filled);
}

async function create(name = 'lk-1') {
  const { body } = await send(requests.create.request, { name, expiresAt: START + DAY });
  return createdKey(requests.create, body);
}

async function list() {
  if (requests.list === undefined) throw new Error('There is a list.');
  return listedKeys(requests.list, (await send(requests.list.request)).body);
}

describe('the preset nvidia-ngc', () => {
  it('makes a key, tries it, finds it, sees its use and revokes it', async () => {
    const { key, keyId } = await create();

    expect(key.expose()).toMatch(/^nvapi-[\w-]{64}$/);
    expect(ngc.liveKeys()).toMatchObject([
      { keyId, name: 'lk-1', type: 'PERSONAL_KEY', expiresAt: START + DAY },
    ]);
    expect(await list()).toEqual([{ keyId, name: 'lk-1', lastUsedAt: undefined }]);

    now += 1_000;
    expect(await send(requests.test, { key })).toMatchObject({ status: 200, body: { orgName: ngc.org } });
    expect(await list()).toEqual([{ keyId, name: 'lk-1', lastUsedAt: START + 1_000 }]);

    await send(requests.revoke, { keyId });
    expect(ngc.liveKeys()).toEqual([]);
    expect(await list()).toEqual([]);
    expect(ngc.requests.map(({ method, authorised }) => [method, authorised])).toEqual([
      ['POST', true],
      ['GET', true],
      ['POST', true],
      ['GET', true],
      ['DELETE', true],
      ['GET', true],
    ]);
  });

  it('makes keys that end by themselves', async () => {
    const { key, keyId } = await create();
    now = START + DAY;

    expect(ngc.liveKeys()).toEqual([]);
    expect(ngc.use(key.expose())).toBe(false);
    await expect(send(requests.test, { key })).rejects.toMatchObject({ code: 'http_refused', status: 401 });
    const error: unknown = await send(requests.revoke, { keyId }).catch((thrown: unknown) => thrown);
    expect(isGone(requests.revoke, error)).toBe(true);
  });

  it('puts no secret in a URL', async () => {
    const { key, keyId } = await create();
    await send(requests.test, { key });
    await send(requests.revoke, { keyId });

    const paths = ngc.requests.map(({ path }) => path).join();
    expect(paths).not.toContain('nvapi-');
    expect(paths).toContain(keyId);
  });

  it('is refused without the admin key', async () => {
    const auth = new Secret({ api_key: 'nvapi-wrong' });

    await expect(
      send(requests.create.request, { name: 'lk-1', expiresAt: START + DAY, auth }),
    ).rejects.toMatchObject({ code: 'http_refused', status: 401 });
    expect(ngc.liveKeys()).toEqual([]);
    expect(ngc.requests).toEqual([
      { method: 'POST', path: `/v3/orgs/${ngc.org}/keys/type/PERSONAL_KEY`, authorised: false },
    ]);
  });

  it.each<[string, NgcFault, Record<string, unknown>, number]>([
    ['refused as 401', 'unauthorized', { code: 'http_refused', status: 401, processed: 'no' }, 0],
    ['refused as 403', 'forbidden', { code: 'http_refused', status: 403, processed: 'no' }, 0],
    [
      'slowed down',
      { retryAfter: '30' },
      { code: 'http_rate_limited', retryAfterMs: 30_000, processed: 'no' },
      0,
    ],
    ['answered 500', 'error_before', { code: 'http_unavailable', status: 500, processed: 'maybe' }, 0],
    ['answered 500 when it was done', 'error_after', { code: 'http_unavailable', processed: 'maybe' }, 1],
    ['done and not answered', 'lost_answer', { code: 'http_unavailable', processed: 'maybe' }, 1],
  ])('can be %s', async (_how, fault, error, alive) => {
    ngc.fail('create', fault, 2);

    await expect(create('lk-1')).rejects.toMatchObject(error);
    await expect(create('lk-2')).rejects.toMatchObject(error);
    const left = ngc.liveKeys().map(({ name }) => name);
    expect(left).toEqual(['lk-1', 'lk-2'].slice(0, 2 * alive));
    expect((await list()).map(({ name }) => name)).toEqual(left);
    await create('lk-3');
    expect(ngc.liveKeys()).toHaveLength(2 * alive + 1);
  });

  it('fails in the operation it was told to', async () => {
    const { key, keyId } = await create();
    ngc.fail('test', 'forbidden');
    ngc.fail('list', 'error_before');
    ngc.fail('revoke', 'lost_answer');

    await expect(send(requests.test, { key })).rejects.toMatchObject({ status: 403 });
    await expect(list()).rejects.toMatchObject({ status: 500 });
    await expect(send(requests.revoke, { keyId })).rejects.toMatchObject({ processed: 'maybe' });
    expect(ngc.liveKeys()).toEqual([]);
  });
});

describe('the stand-in', () => {
  it.each([
    ['that end in the past', { name: 'lk-1', expiresAt: START - 1_000 }, 400],
    ['with a name that is taken', { name: 'taken', expiresAt: START + DAY }, 409],
  ])('makes no keys %s', async (_what, values, status) => {
    await create('taken');

    await expect(send(requests.create.request, values)).rejects.toMatchObject({ status });
    expect(ngc.liveKeys()).toHaveLength(1);
  });

  it('knows no other organisation, and deletes no key of another type', async () => {
    const { keyId } = await create();
    const { parameters } = requests;

    for (const other of [{ org: 'other' }, { key_type: 'SERVICE_KEY' }]) {
      const values = { keyId, parameters: { ...parameters, ...other } };
      await expect(send(requests.revoke, values)).rejects.toMatchObject({ status: 404 });
    }
    expect(ngc.liveKeys()).toHaveLength(1);
  });
});
