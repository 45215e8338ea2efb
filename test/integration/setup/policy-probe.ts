import * as z from 'zod';
import { joinPath, within } from '../../../lib/vault/addressing.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import { authAnswer } from '../../../lib/vault/tokens.ts';
import type { Transport, TransportRequest } from '../../../lib/vault/transport.ts';
import { type Admin, uniqueName } from '../../support/admin.ts';

/** What one request needs: a capability at a path, as policies name it. */
export interface Need {
  readonly path: string;
  readonly capability: string;
}

interface Exchange extends Need {
  readonly token: string;
  readonly status: number;
}

const casBody = z.object({ options: z.object({ cas: z.number() }) });
const capabilitiesAnswer = z.object({ data: z.record(z.string(), z.unknown()) });

/** Records what every request needs, and can lose the answer to the first write of a path, or let somebody else come first. */
export class Recorder implements Transport {
  readonly #real: Transport;
  readonly #exchanges: Exchange[] = [];
  readonly #written = new Set<string>();
  /** Called before each exchange. */
  before: (request: TransportRequest) => Promise<void> = async () => {};
  /** The answer to the first write whose path holds this is lost. */
  loseAnswerOf: string | undefined;

  constructor(real: Transport) {
    this.#real = real;
  }

  async exchange(request: TransportRequest) {
    await this.before(request);
    const need = this.#needOf(request);
    const answer = await this.#real.exchange(request);
    const token = request.headers['x-vault-token'] ?? '';
    this.#exchanges.push({ ...need, token, status: answer.status });
    const lost = this.loseAnswerOf;
    if (lost !== undefined && request.method === 'PUT' && need.path.includes(lost)) {
      this.loseAnswerOf = undefined;
      throw new VaultError('vault_unreachable', 'The connection was cut.', { processed: 'maybe' });
    }
    return answer;
  }

  close(): Promise<void> {
    return this.#real.close();
  }

  /** What requests with this token needed. */
  needsOf(token: string): readonly Need[] {
    return this.#exchanges.filter((exchange) => exchange.token === token);
  }

  /** Paths that were denied to this token. */
  deniedTo(token: string): readonly string[] {
    return this.#exchanges.flatMap((one) => (one.token === token && one.status === 403 ? [one.path] : []));
  }

  #needOf(request: TransportRequest): Need {
    const url = new URL(request.path, 'http://vault');
    const path = decodeURIComponent(url.pathname.slice('/v1/'.length));
    if (url.searchParams.has('list')) return { path: `${path}/`, capability: 'list' };
    const simple = { GET: 'read', DELETE: 'delete', PATCH: 'patch' }[String(request.method)];
    if (simple !== undefined) return { path, capability: simple };
    const cas = casBody.safeParse(JSON.parse(request.body ?? '{}'));
    const isNew = cas.success && cas.data.options.cas === 0 && !this.#written.has(path);
    this.#written.add(path);
    return { path, capability: isNew ? 'create' : 'update' };
  }
}

/** One capability of one rule of a policy. */
export interface PolicyItem {
  readonly path: string;
  readonly capability: string;
}

const RULE = /^path "([^"]+)" \{\n {2}capabilities = \[([^\]]+)\]\n\}$/gm;

export function itemsOf(policy: string): readonly PolicyItem[] {
  return [...policy.matchAll(RULE)].flatMap(([, path = '', list = '']) =>
    list.split(', ').map((one) => ({ path, capability: one.replaceAll('"', '') })),
  );
}

/**
 * The items of a policy without which Vault would deny something that was needed. Asked of Vault itself: each item is taken out of the
 * policy of a token of its own, and sys/capabilities says what that token may still do.
 */
export async function neededItems(
  admin: Admin,
  namespace: string,
  items: readonly PolicyItem[],
  needs: readonly Need[],
): Promise<readonly PolicyItem[]> {
  const { name, token } = await tokenUnder(admin, namespace, items);
  const paths = [...new Set(needs.map((need) => within(namespace, need.path)))];
  const missing = async (policy: string): Promise<number> => {
    await admin.request('PUT', joinPath(namespace, 'sys/policies/acl', name), { policy });
    const { data } = await admin.read(capabilitiesAnswer, 'POST', joinPath(namespace, 'sys/capabilities'), {
      token,
      paths,
    });
    return needs.filter(({ path, capability }) => {
      const allowed = data[within(namespace, path)];
      return !Array.isArray(allowed) || !allowed.includes(capability);
    }).length;
  };
  const without = await missing(textOf(items));
  const needed: PolicyItem[] = [];
  for (const item of items) {
    if ((await missing(textOf(items.filter((one) => one !== item)))) > without) needed.push(item);
  }
  return needed;
}

/** A token with these items alone, and the policy it has them from. */
export async function tokenUnder(
  admin: Admin,
  namespace: string,
  items: readonly PolicyItem[],
): Promise<{ readonly name: string; readonly token: string }> {
  const name = uniqueName('probe');
  await admin.request('PUT', joinPath(namespace, 'sys/policies/acl', name), { policy: textOf(items) });
  const { auth } = await admin.read(authAnswer, 'POST', joinPath(namespace, 'auth/token/create-orphan'), {
    policies: [name],
    no_default_policy: true,
  });
  return { name, token: auth.client_token };
}

function textOf(items: readonly PolicyItem[]): string {
  const paths = [...new Set(items.map(({ path }) => path))];
  const rules = paths.map((path) => {
    const capabilities = items.filter((item) => item.path === path).map(({ capability }) => capability);
    return `path "${path}" {\n  capabilities = ${JSON.stringify(capabilities)}\n}\n`;
  });
  return `# ${paths.length} rules\n${rules.join('')}`;
}
