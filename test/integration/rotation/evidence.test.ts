import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { evidenceSchema, gatherEvidence } from '../../../lib/rotation/evidence/evidence.ts';
import { closedPort, silentPort } from '../../rotation/probes/local-servers.ts';
import { uniqueName } from '../../support/admin.ts';
import { withPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';

const PASSWORD = 'hunter2';
const { host, port, database } = inject('postgres');
const evidence = (more: object = {}) =>
  evidenceSchema.parse({ kind: 'postgres_sessions', host, port, database, tls: false, ...more });
const sql = (text: string) => withPostgres(inject, (client) => client.query(text));

// A name that PostgreSQL cuts to 63 bytes, two of them in the middle of a character.
const long = `${uniqueName('old')}-${'ä'.repeat(40)}`;
const old = uniqueName('old');
const current = uniqueName('current');
const value = { username: current, password: PASSWORD };
const look = (username = old, more: object = {}) => gatherEvidence(evidence(more), { username, value });

beforeAll(async () => {
  for (const name of [old, long, current]) await sql(`CREATE ROLE "${name}" LOGIN PASSWORD '${PASSWORD}'`);
});
afterAll(async () => {
  for (const name of [old, long, current]) await sql(`DROP ROLE "${name}"`);
});

/** Somebody who still works with a user's session, in any database. */
async function session(user: string, where = database) {
  const client = new Client({ host, port, user, password: PASSWORD, database: where, ssl: false });
  await client.connect();
  return { [Symbol.asyncDispose]: () => client.end() };
}

describe('sessions of the old user', () => {
  it('are seen by the new one, who is an ordinary user, and are gone when they end', async () => {
    expect(await look()).toBe('idle');
    {
      await using _first = await session(old);
      expect(await look()).toBe('in_use');
    }
    await until(async () => (await look()) === 'idle');
  });

  it('are seen in other databases', async () => {
    const other = database === 'template1' ? 'postgres' : 'template1';
    await using _session = await session(old, other);
    expect(await look()).toBe('in_use');
  });

  it('are told from those of others', async () => {
    await using _session = await session(current);
    expect(await look()).toBe('idle');
  });

  it('are seen when the name is longer than PostgreSQL keeps names', async () => {
    await using _session = await session(long);
    expect(await look(long)).toBe('in_use');
  });

  it('do not count the one that asks', async () => {
    expect(await look(current)).toBe('idle');
  });
});

describe('what cannot be asked is unknown', () => {
  it.each<[string, object]>([
    ['a wrong password', { username: current, password: 'hunter3' }],
    ['no password', { username: current }],
    ['a value with a NUL', { username: current, password: 'a\0' }],
  ])('with %s', async (_, wrong) => {
    expect(await gatherEvidence(evidence(), { username: old, value: { ...wrong } })).toBe('unknown');
  });

  it.each<[string, () => Promise<object>]>([
    ['closed', async () => ({ port: await closedPort() })],
    ['silent', async () => ({ port: await silentPort(), timeout: '300ms' })],
    ['without TLS', async () => ({ tls: true })],
    ['unknown', async () => ({ host: 'nowhere.invalid' })],
  ])('when the server is %s', async (_, server) => {
    expect(await look(old, await server())).toBe('unknown');
  });

  it('without an old user', async () => {
    expect(await look('')).toBe('unknown');
    expect(await look('a\0')).toBe('unknown');
  });

  it('when pg_stat_activity may not be read', async () => {
    const { password, user } = inject('postgres');
    const other = uniqueName('closed');
    await sql(`CREATE DATABASE "${other}"`);
    try {
      const closed = 'REVOKE SELECT ON pg_stat_activity FROM PUBLIC';
      await withPostgres(inject, (client) => client.query(closed), { database: other });
      expect(await look(old, { database: other })).toBe('unknown');
      const asked = { username: old, value: { username: user, password } };
      expect(await gatherEvidence(evidence({ database: other }), asked)).toBe('idle');
    } finally {
      await sql(`DROP DATABASE "${other}"`);
    }
  });
});
