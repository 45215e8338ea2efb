import { RequestError } from '../access/problem.ts';

/** Every route that there is, by the function that has it. The routers are compared with it in tests, as is serverless.yml. */
export const ROUTES = {
  fetch: [
    'POST /v1/leases',
    'POST /v1/leases/batch',
    'POST /v1/leases/renew',
    'POST /v1/leases/revoke',
    'GET /v1/secrets/{proxy+}',
  ],
  manage: [
    'GET /v1/managed',
    'GET /v1/managed/{name}',
    'PUT /v1/managed/{name}',
    'DELETE /v1/managed/{name}',
    'POST /v1/managed/{name}/rotate',
    'POST /v1/managed/{name}/pause',
    'POST /v1/managed/{name}/resume',
    'PUT /v1/managed/{name}/value',
    'POST /v1/secrets/{name}/acks',
    'POST /v1/subscriptions',
    'GET /v1/subscriptions',
    'GET /v1/subscriptions/{id}',
    'PATCH /v1/subscriptions/{id}',
    'DELETE /v1/subscriptions/{id}',
    'POST /v1/subscriptions/{id}/disable',
    'POST /v1/subscriptions/{id}/enable',
    'POST /v1/subscriptions/{id}/rotate-secret',
    'POST /v1/subscriptions/{id}/test',
    'POST /v1/subscriptions/{id}/replay',
    'GET /v1/subscriptions/{id}/notices',
    'GET /v1/schemas',
    'GET /v1/schemas/{type}',
    'GET /openapi.json',
  ],
  /** Of the one-process host alone. */
  local: ['GET /healthz', 'GET /livez', 'GET /readyz', 'GET /metrics'],
} as const;

export type RouteKey = (typeof ROUTES)[keyof typeof ROUTES][number];

interface Asked {
  readonly method: string;
  readonly path: string;
}

/** In characters. What Vault is asked for is bounded more tightly (lib/vault/addressing.ts); this is what may be said back. */
const LONGEST_PATH = 1_024;

const table = Object.values(ROUTES)
  .flat()
  .map((route) => {
    const [method = '', path = ''] = route.split(' ');
    const pattern = path
      .replaceAll('.', '\\.')
      .replace('/{proxy+}', '/.+')
      .replaceAll(/\{\w+\}/g, '[^/]+');
    return { method, pattern: new RegExp(`^${pattern}$`) };
  });

/** Throws RequestError `path_too_long` (414). */
export function checkPathLength(path: string): void {
  if (path.length <= LONGEST_PATH) return;
  throw new RequestError(
    414,
    'path_too_long',
    `The path has more than ${LONGEST_PATH} characters.`,
    'No path of any route is as long as that.',
  );
}

/** Why no route takes a request: there is no such path, or it knows other methods. Throws `path_too_long`. */
export function unrouted({ method, path }: Asked): RequestError {
  checkPathLength(path);
  const allow = table.filter(({ pattern }) => pattern.test(path)).map((route) => route.method);
  if (allow.length > 0 && !allow.includes(method)) {
    return new RequestError(
      405,
      'method_not_allowed',
      `There is no ${method} ${path}.`,
      'The header `Allow` lists the methods that there are.',
      { allow },
    );
  }
  return new RequestError(
    404,
    'route_unknown',
    `There is no ${method} ${path}.`,
    'GET /openapi.json describes all routes.',
  );
}
