import { createServer } from 'node:net';
import { TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { probeSchema, runProbe } from '../../../lib/rotation/probes/probe.ts';
import { type Issued, issue } from './certificates.ts';
import { listen } from './local-servers.ts';

const value = { username: 'app', password: 'hunter2' };

/** The greeting of a server that has TLS (MySQL, "Protocol::HandshakeV10"). */
function greeting(): Buffer {
  const capabilities = 0xff_ff_ff & ~0x20;
  const head = Buffer.from('\x0a8.0.0\0\x01\0\0\0saltsalt\0', 'latin1');
  const flags = Buffer.from([
    capabilities & 255,
    (capabilities >> 8) & 255,
    45,
    2,
    0,
    capabilities >> 16,
    0,
    21,
  ]);
  const tail = Buffer.from(`${'\0'.repeat(10)}saltsaltsalt\0mysql_native_password\0`, 'latin1');
  const payload = Buffer.concat([head, flags, tail]);
  return Buffer.concat([Buffer.from([payload.length, 0, 0, 0]), payload]);
}

/** Header and Protocol::SSLRequest; TLS begins right after it, often in the same piece. */
const SSL_REQUEST_BYTES = 36;

/** A server that gets as far as TLS. `logins` counts the clients that then went on to log in; they are hung up on. */
async function untilTls({ key, certificate }: Issued) {
  const seen = { logins: 0 };
  const server = createServer((plain) => {
    plain.write(greeting());
    plain.once('data', (first: Buffer) => {
      plain.pause().unshift(first.subarray(SSL_REQUEST_BYTES));
      const secure = new TLSSocket(plain, { isServer: true, key, cert: certificate });
      secure.on('error', () => plain.destroy());
      secure.once('data', () => {
        seen.logins += 1;
        plain.destroy();
      });
    });
  });
  return { seen, port: await listen(server) };
}

describe('MySQL over TLS', () => {
  let authority: Issued;
  let other: Issued;
  beforeAll(() => {
    authority = issue({ subject: '/CN=authority', authority: true });
    other = issue({ subject: '/CN=authority', authority: true });
  });

  it.each<[string, () => Issued, number]>([
    ['a login to the server that it names', () => issue({ names: 'DNS:localhost', signedBy: authority }), 1],
    ['nothing to one of another name', () => issue({ names: 'DNS:db.example', signedBy: authority }), 0],
    ['nothing to one that is not trusted', () => issue({ names: 'DNS:localhost', signedBy: other }), 0],
  ])('sends %s', async (_, certificate, logins) => {
    const { seen, port } = await untilTls(certificate());
    const probe = probeSchema.parse({ kind: 'mysql', host: 'localhost', port, ca: authority.certificate });
    expect(await runProbe(probe, value)).toEqual({ ok: false, code: 'test_failed', refused: false });
    expect(seen.logins).toBe(logins);
  });
});
