import { expect, it } from 'vitest';
import { evidenceSchema } from '../../../lib/rotation/evidence/evidence.ts';
import { issue } from '../probes/certificates.ts';

const sessions = { kind: 'postgres_sessions', host: 'db.example', database: 'app' };

it('is asked over TLS, and idle for five minutes, unless said otherwise', () => {
  expect(evidenceSchema.parse(sessions)).toEqual({
    ...sessions,
    port: 5432,
    tls: true,
    timeout: 10_000,
    username_field: 'username',
    password_field: 'password',
    idle_for: 300_000,
  });
  expect(evidenceSchema.parse({ ...sessions, idle_for: '1h' })).toMatchObject({ idle_for: 3_600_000 });
});

it.each<[string, () => object]>([
  ['an unknown kind', () => ({ ...sessions, kind: 'sessions' })],
  ['an unknown field', () => ({ ...sessions, idle: '1h' })],
  ['no host', () => ({ ...sessions, host: '' })],
  ['a duration that is none', () => ({ ...sessions, idle_for: '5 minutes' })],
  ['a ca that nothing uses', () => ({ ...sessions, tls: false, ca: issue({ authority: true }).certificate })],
])('is not taken with %s', (_, evidence) => {
  expect(evidenceSchema.safeParse(evidence()).success).toBe(false);
});
