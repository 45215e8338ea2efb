import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createServer, type SecureVersion, type TlsOptions } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import { probeSchema, runProbe } from '../../../lib/rotation/probes/probe.ts';
import { type Issued, issue } from './certificates.ts';
import { closedPort, listen, silentPort } from './local-servers.ts';

const failure = (code: string, refused = false) => ({ ok: false, code, refused });
const probe = (more: object = {}) => probeSchema.parse({ kind: 'tls', ...more });
/** Without authorities, the client shows its certificate alone. */
const UNACCOMPANIED = { issuing_ca: undefined, ca_chain: undefined };
const DAY_MS = 86_400_000;

let root: Issued;
let between: Issued;
let other: Issued;
beforeAll(() => {
  root = issue({ subject: '/CN=root', authority: true, days: 2 });
  between = issue({ subject: '/CN=between', authority: true, signedBy: root, days: 2 });
  // Of the same name, so that only its signatures tell it from the true one.
  other = issue({ subject: '/CN=between', authority: true });
});

/** What `pki/issue` of an intermediate authority answers. */
function issued(leaf: Issued, more: object = {}) {
  return {
    certificate: leaf.certificate.trim(),
    private_key: leaf.key.trim(),
    issuing_ca: between.certificate.trim(),
    ca_chain: [between.certificate.trim(), root.certificate.trim()],
    ...more,
  };
}

/** Its issuer is an ordinary certificate of the true authority. */
function signedByALeaf() {
  const issuer = issue({ subject: '/CN=issuer', signedBy: between });
  return issued(issue({ signedBy: issuer }), { issuing_ca: issuer.certificate });
}

describe('a certificate for servers', () => {
  const leaf = (names?: string, more: object = {}) =>
    issue({ signedBy: between, ...(names !== undefined && { names }), ...more });

  it.each<[string, () => object, () => object]>([
    ['for its own first name', () => issued(leaf('DNS:app.example,DNS:b.example')), () => ({})],
    [
      'for another of its names',
      () => issued(leaf('DNS:a.example,DNS:b.example')),
      () => ({ server_name: 'b.example' }),
    ],
    [
      'for a host under its wildcard',
      () => issued(leaf('DNS:*.app.example')),
      () => ({ server_name: 'x.app.example' }),
    ],
    ['for its wildcard', () => issued(leaf('DNS:*.app.example')), () => ({})],
    ['for its address', () => issued(leaf('IP:10.0.0.1')), () => ({ server_name: '10.0.0.1' })],
    ['for its common name', () => issued(leaf()), () => ({})],
    ['with its issuer alone', () => issued(leaf(), { ca_chain: undefined }), () => ({})],
    ['by the root that clients trust', () => issued(leaf()), () => ({ ca: root.certificate })],
  ])('works %s', async (_, value, more) => {
    expect(await runProbe(probe(more()), { ...value() })).toEqual({ ok: true });
  });

  it.each<[string, () => object, () => object, string]>([
    [
      'its name is another',
      () => issued(leaf('DNS:a.example')),
      () => ({ server_name: 'b.example' }),
      'test_certificate_name_mismatch',
    ],
    [
      'it has no name',
      () => issued(leaf(undefined, { subject: '/O=x' })),
      () => ({}),
      'test_certificate_name_mismatch',
    ],
    [
      'its issuer did not sign it',
      () => issued(leaf(), { issuing_ca: other.certificate, ca_chain: [other.certificate] }),
      () => ({}),
      'test_certificate_untrusted',
    ],
    [
      'clients trust others',
      () => issued(leaf()),
      () => ({ ca: other.certificate }),
      'test_certificate_untrusted',
    ],
    [
      'the chain to what clients trust has a gap',
      () => issued(leaf(), { issuing_ca: '', ca_chain: [] }),
      () => ({ ca: root.certificate }),
      'test_certificate_untrusted',
    ],
    [
      'it is for clients only',
      () => issued(leaf(undefined, { use: 'clientAuth' })),
      () => ({}),
      'test_certificate_untrusted',
    ],
    ['its issuer may not sign', signedByALeaf, () => ({}), 'test_certificate_untrusted'],
    [
      'no authority came with it',
      () => issued(leaf(), { issuing_ca: undefined, ca_chain: undefined }),
      () => ({}),
      'test_value_incomplete',
    ],
    [
      'it does not last',
      () => issued(leaf()),
      () => ({ valid_for: '25h' }),
      'test_certificate_ends_too_soon',
    ],
  ])('fails when %s', async (_, value, more, code) => {
    expect(await runProbe(probe(more()), { ...value() })).toEqual(failure(code));
  });

  it('is judged by the time that is passed in', async () => {
    const value = issued(leaf('DNS:app.example'));
    const at = (now: number) => runProbe(probe(), value, { now: () => now });
    expect(await at(Date.now() - DAY_MS)).toEqual(failure('test_certificate_not_yet_valid'));
    expect(await at(Date.now() + 2 * DAY_MS)).toEqual(failure('test_certificate_expired'));
    expect(await at(Date.now() + DAY_MS / 2)).toEqual({ ok: true });
  });
});

describe('a certificate for clients', () => {
  const client = (more: object = {}) => issued(issue({ signedBy: between, use: 'clientAuth', ...more }));

  /** OpenSSL's own server, which tells clients by an alert why it does not take them. Node's hangs up. */
  async function alerting(version: string) {
    const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-tls-'));
    const file = async (name: string, content: string) => {
      await writeFile(path.join(folder, name), content, { mode: 0o600 });
      return path.join(folder, name);
    };
    const own = issue({ names: 'DNS:localhost', signedBy: between });
    const server = spawn('openssl', [
      ...['s_server', '-accept', '127.0.0.1:0', `-${version}`, '-Verify', '5', '-verify_return_error'],
      ...['-cert', await file('own.pem', own.certificate), '-key', await file('own.key', own.key)],
      ...['-CAfile', await file('ca.pem', root.certificate + between.certificate)],
      ...['-cert_chain', await file('chain.pem', between.certificate)],
    ]);
    let port = 0;
    for await (const line of createInterface(server.stdout)) {
      port = Number(/^ACCEPT .*:(\d+)$/.exec(line)?.[1] ?? 0);
      if (port !== 0) break;
    }
    return {
      at: { host: 'localhost', port },
      [Symbol.asyncDispose]: async () => {
        const closed = once(server, 'close');
        server.kill();
        await closed;
        await rm(folder, { recursive: true, force: true });
      },
    };
  }

  /** A server that insists on a certificate of the true authority. */
  async function insisting(options: TlsOptions = {}, greeting?: string) {
    const own = issue({ names: 'DNS:localhost', signedBy: between });
    const server = createServer(
      {
        key: own.key,
        cert: own.certificate + between.certificate,
        ca: [root.certificate, between.certificate],
        requestCert: true,
        ...options,
      },
      (socket) => {
        socket.on('error', () => {});
        if (greeting !== undefined) socket.write(greeting);
      },
    );
    server.on('tlsClientError', () => {});
    return { host: 'localhost', port: await listen(server), ca: root.certificate };
  }

  it.each<[string, TlsOptions, string | undefined]>([
    ['a silent one', {}, undefined],
    ['one that greets', {}, '220 hello\r\n'],
    ['one of TLS 1.2', { maxVersion: 'TLSv1.2' }, undefined],
  ])('is taken by %s', async (_, options, greeting) => {
    expect(await runProbe(probe(await insisting(options, greeting)), client())).toEqual({ ok: true });
  });

  describe('of another authority', () => {
    const forged = () => issued(issue({ signedBy: other, use: 'clientAuth' }), UNACCOMPANIED);

    it.each(['tls1_3', 'tls1_2'])('is refused by a server that says so in %s', async (version) => {
      await using server = await alerting(version);
      expect(await runProbe(probe({ ...server.at, ca: root.certificate }), client())).toEqual({ ok: true });
      const result = await runProbe(probe({ ...server.at, ca: root.certificate }), forged());
      expect(result).toEqual(failure('test_certificate_refused', true));
    });

    it.each<SecureVersion>(['TLSv1.3', 'TLSv1.2'])(
      'is not taken by a server that only hangs up: %s',
      async (version) => {
        const server = await insisting({ minVersion: version, maxVersion: version });
        // A connection that breaks off may be the network's fault too.
        expect(await runProbe(probe(server), forged())).toMatchObject({ ok: false, refused: false });
      },
    );
  });

  it('fails before it is shown when its time is over', async () => {
    const asked = probe(await insisting());
    expect(await runProbe(asked, client(), { now: () => Date.now() + 2 * DAY_MS })).toEqual(
      failure('test_certificate_expired'),
    );
  });

  it.each<[string, () => Promise<object>]>([
    ['is closed', async () => ({ host: '127.0.0.1', port: await closedPort() })],
    ['is silent', async () => ({ host: '127.0.0.1', port: await silentPort(), timeout: '300ms' })],
    [
      'hangs up',
      async () => ({ host: '127.0.0.1', port: await listen(createTcpServer((socket) => socket.end())) }),
    ],
    ['is not trusted itself', async () => ({ ...(await insisting()), ca: other.certificate })],
    ['has another name', async () => ({ ...(await insisting()), server_name: 'b.example' })],
    [
      'is given by an address that it has no certificate for',
      async () => ({ ...(await insisting()), host: '127.0.0.1' }),
    ],
  ])('is not refused by a server that %s', async (_, server) => {
    expect(await runProbe(probe(await server()), client())).toEqual(failure('test_failed'));
  });
});
