import { connect, createServer } from 'node:net';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { probeSchema, runProbe } from '../../../lib/rotation/probes/probe.ts';
import { type Issued, issue } from '../../rotation/probes/certificates.ts';
import { closedPort, listen, silentPort } from '../../rotation/probes/local-servers.ts';
import { startMysql } from '../../rotation/probes/mysql-server.ts';
import type { RunningMysql } from '../../rotation/probes/running-mysql.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { withPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';

const ok = { ok: true };
const refused = { ok: false, code: 'test_login_refused', refused: true };
const failed = { ok: false, code: 'test_failed', refused: false };
const PASSWORD = 'hunter2';

describe('a login to PostgreSQL', () => {
  const username = uniqueName('probe');
  const value = { username, password: PASSWORD };
  const { host, port, database } = inject('postgres');
  const sql = (text: string) => withPostgres(inject, (client) => client.query(text));
  const probe = (more: object = {}) =>
    probeSchema.parse({ kind: 'postgres', host, port, database, tls: false, ...more });

  beforeAll(() => sql(`CREATE ROLE "${username}" LOGIN PASSWORD '${PASSWORD}'`));
  afterAll(() => sql(`DROP ROLE "${username}"`));

  it('works with the fields that are named', async () => {
    expect(await runProbe(probe(), value)).toEqual(ok);
    const named = probe({ username_field: 'user', password_field: 'pw' });
    expect(await runProbe(named, { user: username, pw: PASSWORD, password: 'another' })).toEqual(ok);
  });

  it('leaves no session behind', async () => {
    expect(await runProbe(probe(), value)).toEqual(ok);
    await until(async () => {
      const query = `SELECT FROM pg_stat_activity WHERE usename = '${username}'`;
      return (await sql(query)).rowCount === 0;
    });
  });

  it.each<[string, object]>([
    ['a wrong password', { password: 'hunter3' }],
    ['an unknown user', { username: 'nobody-at-all' }],
  ])('is refused with %s, and the value is not told', async (_, changes) => {
    const result = await runProbe(probe(), { ...value, ...changes });
    expect(result).toEqual(refused);
    expect(JSON.stringify(result)).not.toContain('hunter');
  });

  it('is refused while the role may not log in, and when its time is over', async () => {
    await sql(`ALTER ROLE "${username}" NOLOGIN`);
    expect(await runProbe(probe(), value)).toEqual(refused);
    await sql(`ALTER ROLE "${username}" LOGIN VALID UNTIL '2001-01-01'`);
    expect(await runProbe(probe(), value)).toEqual(refused);
    await sql(`ALTER ROLE "${username}" VALID UNTIL 'infinity'`);
    expect(await runProbe(probe(), value)).toEqual(ok);
  });

  it('fails when the role may not do its work, which says nothing against the password', async () => {
    expect(await runProbe(probe({ query: 'SELECT FROM pg_roles LIMIT 1' }), value)).toEqual(ok);
    expect(await runProbe(probe({ query: 'SELECT FROM pg_authid LIMIT 1' }), value)).toEqual(failed);
    expect(await runProbe(probe({ database: 'no-such-database' }), value)).toEqual(failed);
  });

  it.each<[string, () => Promise<object>]>([
    ['is closed', async () => ({ port: await closedPort() })],
    ['has no such name', async () => ({ host: 'nowhere.invalid' })],
    ['is silent', async () => ({ port: await silentPort(), timeout: '300ms' })],
    ['is silent to TLS', async () => ({ port: await silentPort(), tls: true, timeout: '300ms' })],
    ['is silent after the login', async () => ({ query: 'SELECT pg_sleep(60)', timeout: '300ms' })],
    ['speaks something else', async () => ({ port: await answering('401 Unauthorized') })],
    ['has no TLS', async () => ({ tls: true })],
    [
      'does not let this host in',
      async () => ({ port: await answering(errorMessage('28000', 'ClientAuthentication')) }),
    ],
    ['could not ask LDAP', async () => ({ port: await answering(errorMessage('28000', 'auth_failed')) })],
    [
      'is starting up',
      async () => ({ port: await answering(errorMessage('57P03', 'ProcessStartupPacket')) }),
    ],
  ])('is not refused by a server that %s', async (_, server) => {
    expect(await runProbe(probe(await server()), value)).toEqual(failed);
  });

  describe('over TLS', () => {
    let authority: Issued;
    beforeAll(() => {
      authority = issue({ subject: '/CN=authority', authority: true });
    });

    /** TLS in front of the real server, as proxies have it: PostgreSQL asks for it in plain first. */
    function terminating({ key, certificate }: Issued): Promise<number> {
      const server = createServer((plain) => {
        plain.once('data', () => {
          plain.write('S');
          const secure = new TLSSocket(plain, { isServer: true, key, cert: certificate });
          const behind = connect(port, host);
          behind.on('error', () => secure.destroy());
          secure.on('error', () => behind.destroy());
          secure.pipe(behind).pipe(secure);
        });
      });
      return listen(server);
    }

    it('works with the authorities that are named, for the host that is named, and with no others', async () => {
      const at = await terminating(issue({ names: 'DNS:localhost', signedBy: authority }));
      const ca = authority.certificate;
      const secure = { host: 'localhost', port: at, tls: true };
      expect(await runProbe(probe({ ...secure, ca }), value)).toEqual(ok);
      expect(await runProbe(probe({ ...secure, ca }), { ...value, password: 'x' })).toEqual(refused);
      expect(await runProbe(probe({ ...secure, ca, host: '127.0.0.1' }), value)).toEqual(failed);
      expect(await runProbe(probe(secure), value)).toEqual(failed);
    });
  });
});

/** A server that answers whatever comes with the same, and hangs up. */
function answering(answer: string): Promise<number> {
  return listen(createServer((socket) => socket.once('data', () => socket.end(answer))));
}

/** A server that says something at once, and hangs up. */
function greeting(text: string): Promise<number> {
  return listen(createServer((socket) => socket.end(Buffer.from(text, 'latin1'))));
}

/** An ERR_Packet in the place of a greeting (MySQL, "ERR_Packet"). */
function errorPacket(code: number): string {
  return `\x05\0\0\0\xff${String.fromCharCode(code & 255, code >> 8)}no`;
}

/** An ErrorResponse (PostgreSQL, "Message Formats"), by the SQLSTATE and the place in the server where it arises. */
function errorMessage(code: string, routine: string): string {
  const fields = `SFATAL\0C${code}\0Mno\0R${routine}\0\0`;
  return `E\0\0\0${String.fromCharCode(fields.length + 4)}${fields}`;
}

describe('a login to MySQL', () => {
  const user = { username: 'app', password: PASSWORD };
  let server: RunningMysql;
  const probe = (more: object = {}) =>
    probeSchema.parse({ kind: 'mysql', host: '127.0.0.1', port: server.port, tls: false, ...more });

  beforeAll(async () => {
    server = await startMysql(user);
  });
  afterAll(() => server?.stop());

  it('works with the fields that are named', async () => {
    expect(await runProbe(probe(), user)).toEqual(ok);
    const named = probe({ username_field: 'user', password_field: 'pw' });
    expect(await runProbe(named, { user: 'app', pw: PASSWORD })).toEqual(ok);
  });

  it.each<[string, object]>([
    ['a wrong password', { password: 'hunter3' }],
    ['an unknown user', { username: 'nobody' }],
  ])('is refused with %s, and the value is not told', async (_, changes) => {
    const result = await runProbe(probe(), { ...user, ...changes });
    expect(result).toEqual(refused);
    expect(JSON.stringify(result)).not.toContain('hunter');
  });

  it('fails when the query fails, which says nothing against the password', async () => {
    expect(await runProbe(probe({ query: 'SELECT * FROM nothing.there' }), user)).toEqual(failed);
  });

  it.each<[string, () => Promise<object>]>([
    ['is closed', async () => ({ port: await closedPort() })],
    ['has no such name', async () => ({ host: 'nowhere.invalid' })],
    ['is silent', async () => ({ port: await silentPort(), timeout: '300ms' })],
    ['speaks something else', async () => ({ port: await greeting('SSH-2.0-x\r\n') })],
    ['hangs up', async () => ({ port: await greeting('') })],
    ['has no room', async () => ({ port: await greeting(errorPacket(1040)) })],
    ['does not let this host in', async () => ({ port: await greeting(errorPacket(1130)) })],
  ])('is not refused by a server that %s', async (_, changes) => {
    expect(await runProbe(probe(await changes()), user)).toEqual(failed);
  });

  it('is not tried in plain when TLS was asked for', async () => {
    const secure = { host: 'localhost', tls: true };
    // Nobody of Node's own authorities has signed its certificate, if it has one at all.
    expect(await runProbe(probe(secure), user)).toEqual(failed);
    const { ca } = server;
    if (ca === undefined) return;
    expect(await runProbe(probe({ ...secure, ca }), user)).toEqual(ok);
    expect(await runProbe(probe({ ...secure, ca }), { ...user, password: 'x' })).toEqual(refused);
    expect(await runProbe(probe({ ...secure, ca: issue({ authority: true }).certificate }), user)).toEqual(
      failed,
    );
  });
});

describe('a certificate from Vault', () => {
  const { request, read } = admin(inject);
  const [root, between] = [uniqueName('root'), uniqueName('between')];
  const answerSchema = z.object({ data: z.record(z.string(), z.unknown()) });
  const issued = async (more: object = {}) =>
    (
      await read(answerSchema, 'POST', `${between}/issue/app`, {
        common_name: 'app.example',
        ttl: '1h',
        ...more,
      })
    ).data;
  const probe = (more: object = {}) => probeSchema.parse({ kind: 'tls', ...more });
  let ca = '';

  beforeAll(async () => {
    const text = async (key: string, path: string, body: object) =>
      z.string().parse((await read(answerSchema, 'POST', path, body)).data[key]);
    for (const mount of [root, between]) await request('POST', `sys/mounts/${mount}`, { type: 'pki' });
    ca = await text('certificate', `${root}/root/generate/internal`, { common_name: 'root', ttl: '2h' });
    const csr = await text('csr', `${between}/intermediate/generate/internal`, { common_name: 'between' });
    const certificate = await text('certificate', `${root}/root/sign-intermediate`, { csr, ttl: '2h' });
    await request('POST', `${between}/intermediate/set-signed`, { certificate });
    await request('POST', `${between}/roles/app`, {
      allowed_domains: 'app.example',
      allow_bare_domains: true,
      allow_subdomains: true,
      key_type: 'ec',
      key_bits: 256,
      max_ttl: '2h',
    });
  });

  it('works as it is, and for who trusts the root alone', async () => {
    const value = await issued();
    expect(value).toHaveProperty('ca_chain', [value.issuing_ca]);
    for (const more of [{}, { ca }, { valid_for: '30m' }]) {
      expect(await runProbe(probe(more), value)).toEqual(ok);
    }
  });

  it('fails for another name, for a longer life, and with the key of another', async () => {
    const [value, another] = [await issued(), await issued()];
    const failure = (code: string) => ({ ok: false, code, refused: false });
    const { private_key } = another;
    expect(await runProbe(probe({ server_name: 'x.app.example' }), value)).toEqual(
      failure('test_certificate_name_mismatch'),
    );
    expect(await runProbe(probe({ valid_for: '61m' }), value)).toEqual(
      failure('test_certificate_ends_too_soon'),
    );
    expect(await runProbe(probe(), { ...value, private_key })).toEqual(
      failure('test_certificate_key_mismatch'),
    );
  });
});
