import { joinPath } from '../../lib/vault/addressing.ts';
import { KvStore } from '../../lib/vault/kv-store.ts';
import { NgcServer } from '../support/ngc-server.ts';
import type { World } from '../support/world.ts';
import type { KindCase, PreparedKind } from './kind-case.ts';

/** The preset `nvidia-ngc` against a real local server that plays NVIDIA's documented endpoints. */
export interface PreparedNgc extends PreparedKind {
  readonly ngc: NgcServer;
}

export async function prepareNgc(world: World): Promise<PreparedNgc> {
  const ngc = await NgcServer.start({ now: () => world.now() });
  const app = new KvStore(world.vault, joinPath(world.namespace, 'app'));
  await app.write('ngc-admin', { api_key: ngc.adminKey }, 0);
  return {
    ngc,
    specify: async (name) => ({
      kind: 'http-api-key',
      name,
      publish: `app/${name}`,
      grace: '0s',
      deadline: '0s',
      auth: 'app/ngc-admin',
      expires_in: '30d',
      provider: {
        preset: 'nvidia-ngc',
        org: ngc.org,
        policies: [{ product: 'nv-cloud-functions', scopes: ['invoke_function'] }],
        base_url: ngc.url,
        insecure_http: true,
      },
    }),
    works: async (_name, value) => ngc.use(String(value?.api_key)),
    live: async () =>
      ngc
        .liveKeys()
        .map(({ keyId }) => keyId)
        .sort(),
    idOf: ({ key_id }) => String(key_id),
    disturb: async (_name, { key_id }) => {
      ngc.revoke(String(key_id));
      return 'value_refused';
    },
    close: () => ngc.close(),
  };
}

export const httpApiKeyCase: KindCase = {
  kind: 'http-api-key',
  overlaps: true,
  ends: true,
  prepare: prepareNgc,
};
