import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROUTES } from '../../lib/bus/routes.ts';
import { fetchRoutes } from '../../lib/host/fetch-routes.ts';
import { FUNCTIONS } from '../../lib/host/identities.ts';
import { manageRoutes } from '../../lib/host/manage-routes.ts';
import { ROUTES as TABLE } from '../../lib/host/route-table.ts';
import { root, serverless } from './deployment.ts';

const { functions, params, provider } = serverless;
const each = Object.entries(functions);
const notCalled = () => {
  throw new Error('Only the table of routes is looked at.');
};

/** A value of the file with the parameters' defaults put in, as far as it is text. */
function filledIn(value: unknown): string {
  if (typeof value !== 'string') return 'arn';
  return value.replaceAll(/\$\{param:(\w+)\}/g, (_, name: string) => String(params.default[name]));
}

describe('the functions of serverless.yml', () => {
  it('are those of functions/, each with an identity of its own', () => {
    const files = readdirSync(path.join(root, 'functions')).map((file) => path.basename(file, '.ts'));
    expect(Object.keys(functions).toSorted()).toEqual(files.toSorted());
    expect(Object.keys(functions).toSorted()).toEqual([...FUNCTIONS].toSorted());
  });

  it.each(each)('%s is its own bundle and nothing else', (name, { handler, package: zip }) => {
    expect(handler).toBe(`dist/bundles/${name}/index.handler`);
    expect(zip.patterns).toEqual(['!**', `dist/bundles/${name}/*.{mjs,wasm}`]);
  });

  it('are told alike what form an outcome has on the bus: the plain one, by default', () => {
    const forms = each.map(([name, { environment }]) => [name, environment.LEASEKEEPER_CLOUDEVENTS]);
    expect(forms.map(([name, form]) => [name, form === undefined ? undefined : filledIn(form)])).toEqual(
      each.map(([name, { environment }]) => [name, environment.LEASEKEEPER_BUS ? 'false' : undefined]),
    );
  });

  it.each([
    ['fetch', fetchRoutes(notCalled)],
    ['manage', manageRoutes(notCalled)],
  ] as const)('%s is behind the routes that it answers', (name, routes) => {
    const deployed = functions[name]?.events.map(({ httpApi }) => httpApi) ?? [];
    const answered = routes.map((route) => `${route.method} ${route.path}`).toSorted();
    expect(deployed.toSorted()).toEqual(answered);
    expect([...TABLE[name]].toSorted()).toEqual(answered);
    // API Gateway gives up after 30 s, and would leave the function at work for nobody.
    expect(functions[name]?.timeout).toBeLessThan(30);
  });

  it('are behind a queue if they work on events', () => {
    const behindQueues = each.filter(([, { events }]) => events.some(({ sqs }) => sqs !== undefined));
    expect(behindQueues.map(([name]) => name).toSorted()).toEqual(Object.keys(ROUTES).toSorted());
  });

  it.each(each)('%s ends before its claims do', (_, { timeout }) => {
    expect(timeout).toBeLessThanOrEqual(120);
  });

  it('run on the runtime that the bundles are made for, with logs that end', () => {
    expect(provider).toMatchObject({ runtime: 'nodejs24.x', architecture: 'arm64' });
    expect(Number(filledIn(provider.logRetentionInDays))).toBeGreaterThan(0);
    expect(Object.keys(provider.tags)).toEqual(['service', 'stage']);
  });
});

describe('the schedule', () => {
  it('never has two scans at work, or one that is made up for', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the framework's variable, not JavaScript's.
    const kept = '${file(./aws/concurrency.cjs):scan, null}';
    expect(functions.scan).toMatchObject({ reservedConcurrency: kept, maximumRetryAttempts: 0 });
    expect(params.default.scanConcurrency).toBe('1');
    expect(functions.scan?.timeout).toBeLessThan(Number(params.default.scanInterval));
  });
});
