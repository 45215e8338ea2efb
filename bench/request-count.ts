import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { ClientRequest } from 'node:http';
import * as z from 'zod';

/** Requests by what they are for. */
export type RequestCount = Readonly<Record<string, number>>;

/** What undici tells of each request on the channel `undici:request:create`; whoever sends it. */
const undiciMessage = z.object({
  request: z.object({ origin: z.union([z.string(), z.instanceof(URL)]), path: z.string() }),
});
/** What node:http tells on `http.client.request.start`: node-vault sends with it. */
const httpMessage = z.object({ request: z.instanceof(ClientRequest) });

const KINDS: readonly (readonly [kind: string, path: RegExp])[] = [
  ['login', /\/auth\/[^/]+\/login$/],
  ['mount lookup', /\/sys\/internal\/ui\/mounts\//],
  ['agenda', /\/agenda\//],
  ['credentials', /\/database\/creds\//],
  ['read', /\/shared\/data\//],
];

/**
 * Counts the requests that this process sends to `address` while `work` is under way, by the HTTP clients' own telling: bare requests,
 * those of Leasekeeper and those of another library are counted in the same way.
 */
export async function requestsTo(address: string, work: () => Promise<unknown>): Promise<RequestCount> {
  const { origin, host } = new URL(address);
  const paths: string[] = [];
  const onUndici = (message: unknown) => {
    const parsed = undiciMessage.safeParse(message);
    if (parsed.success && new URL(parsed.data.request.origin).origin === origin)
      paths.push(parsed.data.request.path);
  };
  const onHttp = (message: unknown) => {
    const parsed = httpMessage.safeParse(message);
    if (parsed.success && parsed.data.request.getHeader('host') === host)
      paths.push(parsed.data.request.path);
  };
  subscribe('undici:request:create', onUndici);
  subscribe('http.client.request.start', onHttp);
  try {
    await work();
  } finally {
    unsubscribe('undici:request:create', onUndici);
    unsubscribe('http.client.request.start', onHttp);
  }
  return counted(paths);
}

function counted(paths: readonly string[]): RequestCount {
  const counts: Record<string, number> = { 'in all': paths.length };
  for (const path of paths) {
    const kind = KINDS.find(([, pattern]) => pattern.test(path))?.[0] ?? path;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
