import { describe, expect, it } from 'vitest';
import { kinds } from '../../../lib/rotation/rotators/kinds.ts';
import { specificationSchema } from '../../../lib/rotation/specification.ts';

const STATIC = {
  kind: 'database-static',
  name: 'app-database',
  mount: 'database',
  roles: ['app-a', 'app-b'],
  publish: 'app/database',
  grace: '1h',
  deadline: '1d',
};
const ROOT = { kind: 'database-root', name: 'postgres-root', mount: 'database', connection: 'postgres' };

const faultsOf = (specification: unknown) =>
  specificationSchema.safeParse(specification).error?.issues.map(({ path }) => path.join('.')) ?? [];

describe('a specification of kind database-static', () => {
  it('names two to five different roles', () => {
    expect(faultsOf(STATIC)).toEqual([]);
    expect(faultsOf({ ...STATIC, roles: ['a', 'b', 'c', 'd', 'e'] })).toEqual([]);
    expect(faultsOf({ ...STATIC, roles: ['a'] })).toEqual(['roles']);
    expect(faultsOf({ ...STATIC, roles: ['a', 'a'] })).toEqual(['roles']);
    expect(faultsOf({ ...STATIC, roles: ['a', 'b', 'c', 'd', 'e', 'f'] })).toEqual(['roles']);
    expect(faultsOf({ ...STATIC, roles: ['a', '../b'] })).toEqual(['roles.1']);
  });

  it('has more roles where a grace outlasts the time between rotations', () => {
    const often = { ...STATIC, schedule: { every: '1h' }, grace: '90m' };
    expect(faultsOf(often)).toEqual(['roles']);
    expect(faultsOf({ ...often, roles: ['a', 'b', 'c'] })).toEqual([]);
    expect(faultsOf({ ...often, schedule: { every: '2h' } })).toEqual([]);
    expect(faultsOf({ ...often, schedule: { cron: '0 * * * *' } })).toEqual([]);
  });
});

describe('a specification of kind database-root', () => {
  it('publishes nothing and tries no value', () => {
    expect(faultsOf(ROOT)).toEqual([]);
    expect(faultsOf({ ...ROOT, publish: 'app/root' })).toEqual(['publish']);
    const postgres = { kind: 'postgres', host: 'localhost', database: 'app', tls: true };
    expect(faultsOf({ ...ROOT, test: postgres })).toEqual(['test']);
    expect(faultsOf({ ...ROOT, evidence: { ...postgres, kind: 'postgres_sessions' } })).toEqual(['evidence']);
  });

  it('begins when it is asked for, unlike static roles', () => {
    expect([kinds['database-root'].begins, kinds['database-static'].begins]).toEqual([
      'when_asked',
      'at_once',
    ]);
  });
});
