import type middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { Secret } from '../telemetry/secret.ts';
import type { GenerationChoice } from '../vault/published-generation.ts';
import type { DynamicSecret, StaticSecret } from './secret-types.ts';
import { SecretsManager, type SecretsManagerOptions } from './secrets-manager.ts';

/** What to fetch: a static secret's path, or more exactly what of it. */
export type FetchedSecret =
  | string
  | {
      readonly path: string;
      /** One field, as a `Secret`; without it the whole secret. */
      readonly field?: string;
      /** Of a managed secret. */
      readonly generation?: GenerationChoice;
      /** A leased credential, or the newest generation: `getDynamicSecret`. */
      readonly dynamic?: boolean;
    };

export type FetchData = Readonly<Record<string, FetchedSecret>>;

/** What stands in the context. */
export type Fetched<Names extends FetchData> = { readonly [Name in keyof Names]: FetchedValue<Names[Name]> };

type FetchedValue<What> = What extends { readonly field: string }
  ? Secret
  : What extends { readonly dynamic: true }
    ? DynamicSecret
    : StaticSecret;

/** Options in the manner of middy's own `secrets-manager` and `ssm`, and those of SecretsManager. */
export interface SecretsMiddlewareOptions<Names extends FetchData = FetchData> extends SecretsManagerOptions {
  /** The name under which it is found → what to fetch. */
  readonly fetchData: Names;
  /** Whether to put it into the context beside `request.internal`; true when left out. */
  readonly setToContext?: boolean;
  /** Whether to wait for the first invocation, in place of fetching while the function is loaded. */
  readonly disablePrefetch?: boolean;
  /** One that is there already; else one is made of the other options, with `background: false`. */
  readonly manager?: SecretsManager;
}

export type SecretsMiddleware<Names extends FetchData> = middy.MiddlewareObj<
  unknown,
  unknown,
  Error,
  Context & Fetched<Names>,
  Fetched<Names>
> & { readonly manager: SecretsManager };

/**
 * A middy middleware: every invocation finds current secrets in its context (`context.database.data.get('password')`). They are kept by warm
 * invocations and right after a freeze, whatever its length. Nothing goes on behind the answer: what is due is done before it. A
 * secret that cannot be had fails the invocation with the error of `getSecret`.
 */
export function secrets<const Names extends FetchData>(
  options: SecretsMiddlewareOptions<Names>,
): SecretsMiddleware<Names> {
  const { fetchData, setToContext = true, disablePrefetch = false, manager: given, ...settings } = options;
  const manager = given ?? new SecretsManager({ background: false, ...settings });

  const fetchAll = async () => {
    const names = Object.keys(fetchData);
    const values = await Promise.all(Object.values(fetchData).map((one) => fetchOne(manager, one)));
    return Object.fromEntries(names.map((name, index) => [name, values[index]]));
  };

  // What it comes to is seen by the first invocation, which asks for the same again.
  if (!disablePrefetch) void fetchAll().catch(() => {});

  const settle = () => manager.settle();
  return {
    manager,
    before: async (request) => {
      const fetched = await fetchAll();
      Object.assign(request.internal, fetched);
      if (setToContext) Object.assign(request.context, fetched);
    },
    after: settle,
    onError: settle,
  };
}

function fetchOne(manager: SecretsManager, what: FetchedSecret): Promise<unknown> {
  if (typeof what === 'string') return manager.getSecret(what);
  const { path, field, generation, dynamic = false } = what;
  if (!dynamic) {
    const choice = generation === undefined ? {} : { generation };
    return manager.getSecret(path, field === undefined ? choice : { ...choice, field });
  }
  const credential = manager.getDynamicSecret(path);
  return field === undefined ? credential : credential.then(({ data }) => new Secret(data.get(field)));
}
