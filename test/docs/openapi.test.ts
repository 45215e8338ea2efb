import { describe, expect, it } from 'vitest';
import { fetchRoutes } from '../../lib/host/fetch-routes.ts';
import { processRoutes } from '../../lib/host/local/process-routes.ts';
import { manageRoutes } from '../../lib/host/manage-routes.ts';
import { OPERATIONS, openApi, problemsOf } from '../../lib/host/openapi/openapi.ts';
import { ROUTES } from '../../lib/host/route-table.ts';
import { readProjectFile } from './documents.ts';

const written: unknown = JSON.parse(readProjectFile('docs/openapi.json'));
const notCalled = () => {
  throw new Error('Only the table of routes is looked at.');
};
const operations = Object.entries(OPERATIONS);

describe('docs/openapi.json', () => {
  it('is what the routes generate', () => {
    expect(written, 'Run `npm run schemas` and commit docs/openapi.json.').toEqual(
      JSON.parse(JSON.stringify(openApi())),
    );
  });

  it('has every route of the routers, and no other', () => {
    const metrics = { text: notCalled, contentType: 'text/plain' };
    const own = processRoutes({
      health: { scannedAt: 0, failing: false, triedAt: 0, stopping: false },
      scanIntervalMs: 1,
      now: () => 0,
      metrics,
    });
    const answered = [...fetchRoutes(notCalled), ...manageRoutes(notCalled), ...own];
    const described = Object.entries(openApi().paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const asDescribed = ({ method, path }: { method: string; path: string }) =>
      `${method} ${path.replace('{proxy+}', '{path}')}`;
    expect(described.toSorted()).toEqual(answered.map(asDescribed).toSorted());
    expect(Object.keys(OPERATIONS).toSorted()).toEqual(Object.values(ROUTES).flat().toSorted());
  });

  it('names each operation once', () => {
    const ids = operations.map(([, { id }]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('has codes that docs/errors.md explains, with the status that it says', () => {
    const rows = new Map(
      [...readProjectFile('docs/errors.md').matchAll(/^\| `([a-z0-9_]+)` \|.*?(?:\| (\d{3}) )?\|$/gm)].map(
        ([row, code = '', status]) => [code, status ?? /\((\d{3}), with/.exec(row)?.[1]] as const,
      ),
    );
    const codes = new Map(
      operations.flatMap(([route, operation]) =>
        [...problemsOf(operation, route)].flatMap(([status, all]) =>
          all.map((code) => [code, String(status)] as const),
        ),
      ),
    );
    expect(codes.size).toBeGreaterThan(50);
    expect([...codes.keys()].map((code) => [code, rows.get(code)])).toEqual([...codes]);
  });

  it('gives an example of every body that is sent, which fits, and none of a secret', () => {
    for (const [route, { body, answers }] of operations) {
      if (body !== undefined)
        expect(body.schema.safeParse(body.example), route).toMatchObject({ success: true });
      for (const { schema, example } of Object.values(answers)) {
        if (example !== undefined) expect(schema?.safeParse(example), route).toMatchObject({ success: true });
      }
    }
    expect(JSON.stringify(written)).not.toMatch(/whsec_[A-Za-z0-9]|hv[sb]\.\w|"password":"[^[]/);
  });
});
