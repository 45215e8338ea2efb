import { writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { createServer as createTlsServer, type Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { main } from '../../../lib/cli/main.ts';
import { issue } from '../../rotation/probes/certificates.ts';
import { startOwnServer } from '../../support/own-server.ts';
import { type DoctorWorld, USUAL } from './doctor-world.ts';

/** From VAULT_ADDR to a Vault that answers. */
export function describeWay(world: () => DoctorWorld): void {
  describe('the way to Vault', () => {
    it('has a clock that is off', async () => {
      const { wrong, of } = await world().diagnose({ now: () => Date.now() - 90_000 });
      expect(wrong).toEqual(['clock']);
      expect(of('clock').what).toMatch(/^this machine is (89|90|91) s behind Vault/);
    });

    it('ends where nothing listens', async () => {
      const { wrong, of } = await world().diagnose({
        env: { VAULT_ADDR: `http://127.0.0.1:${await closedPort()}` },
      });
      expect(wrong).toEqual(['tcp']);
      expect(of('tcp').what).toContain('ECONNREFUSED');
      expect(of('vault').what).toBe('not looked at: see "Connection"');
    });

    it('begins with a name that is not there', async () => {
      const { wrong, of } = await world().diagnose({
        env: { VAULT_ADDR: 'http://vault.lotabots.svc.invalid:8200' },
      });
      expect(wrong).toEqual(['dns']);
      expect(of('dns').mend).toContain('kubectl -n lotabots get service vault');
    });

    it('ends at a Vault that is sealed', async () => {
      const own = await startOwnServer(inject('binaries').openbao);
      try {
        await own.seal();
        const { wrong, of } = await world().diagnose({ env: { VAULT_ADDR: own.current().address } });
        expect(wrong).toEqual(['vault']);
        expect(of('vault').what).toContain('it is sealed');
        expect(of('login').what).toBe('not looked at: see "Vault server"');
      } finally {
        await own.stop();
      }
    });

    it('is wrong usage where options are', async () => {
      const quiet = { environment: {}, out: () => {}, error: () => {} };
      for (const args of [['--secret', '../x'], ['--consumer', 'A b'], ['--role', 'a b'], ['--nothing']])
        expect(await main(['doctor', ...args], quiet)).toBe(2);
    });
  });

  describe('TLS', () => {
    const authority = issue({ subject: '/CN=Our Authority', authority: true });
    const server = issue({
      subject: '/CN=vault',
      names: 'DNS:vault.example.com,IP:127.0.0.1',
      signedBy: authority,
    });
    const stranger = issue({ subject: '/CN=vault', names: 'DNS:vault.example.com', signedBy: authority });
    let caFile: string;
    const servers: Server[] = [];
    beforeAll(async () => {
      caFile = path.join(world().folder, 'ca.pem');
      await writeFile(caFile, authority.certificate);
    });
    afterAll(async () => {
      for (const one of servers) await new Promise((resolve) => one.close(resolve));
    });

    /** The real OpenBao behind TLS, as behind an ingress. */
    async function behindTls({ certificate: cert, key }: typeof server): Promise<number> {
      const { hostname, port } = new URL(world().admin.address);
      const front = createTlsServer({ cert, key }, (socket) => {
        const back = connect(Number(port), hostname);
        socket.on('error', () => back.destroy());
        back.on('error', () => socket.destroy());
        socket.pipe(back).pipe(socket);
      });
      servers.push(front);
      await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
      const address = front.address();
      if (address === null || typeof address === 'string') throw new Error('no port');
      return address.port;
    }

    it('is fine with the CA, and told apart without, with another, and with none that can be read', async () => {
      const VAULT_ADDR = `https://127.0.0.1:${await behindTls(server)}`;
      const known = await world().diagnose({ ...USUAL, env: { VAULT_ADDR, VAULT_CACERT: caFile } });
      expect([known.wrong, known.of('tls').what]).toEqual([
        [],
        expect.stringContaining('from Our Authority, trusted'),
      ]);

      const none = await world().diagnose({ env: { VAULT_ADDR } });
      expect(none.wrong).toEqual(['tls']);
      expect(none.of('tls').what).toContain(
        'issued by Our Authority, which is no public authority, and VAULT_CACERT is not set',
      );

      const other = path.join(world().folder, 'other-ca.pem');
      await writeFile(other, issue({ subject: '/CN=Another', authority: true }).certificate);
      const another = await world().diagnose({ env: { VAULT_ADDR, VAULT_CACERT: other } });
      expect(another.of('ca').what).toContain('CN=Another');
      expect(another.of('tls').what).toContain(`which is not in ${other}`);

      const absent = await world().diagnose({ env: { VAULT_ADDR, VAULT_CACERT: `${caFile}.none` } });
      expect([absent.wrong, absent.of('ca').what]).toEqual([['ca'], expect.stringContaining('ENOENT')]);
      const junk = path.join(world().folder, 'junk.pem');
      await writeFile(junk, 'no certificate');
      expect((await world().diagnose({ env: { VAULT_ADDR, VAULT_CACERT: junk } })).of('ca').what).toContain(
        'no certificate in PEM',
      );
    });

    it('is for another name, and fine at the address that is named', async () => {
      const port = await behindTls(stranger);
      const { wrong, of } = await world().diagnose({
        env: { VAULT_ADDR: `https://127.0.0.1:${port}`, VAULT_CACERT: caFile },
      });
      expect(wrong).toEqual(['tls']);
      expect(of('tls').what).toContain('is for vault.example.com, not for 127.0.0.1');
      expect(of('tls').mend).toEqual([`export VAULT_ADDR=https://vault.example.com:${port}`]);
    });

    it('is there where VAULT_ADDR says http, and the other way round', async () => {
      const port = await behindTls(server);
      const http = await world().diagnose({ env: { VAULT_ADDR: `http://127.0.0.1:${port}` } });
      expect([http.wrong, http.of('tls').mend]).toEqual([
        ['tls'],
        [`export VAULT_ADDR=https://127.0.0.1:${port}`],
      ]);
      const plain = new URL(world().admin.address);
      const https = await world().diagnose({ env: { VAULT_ADDR: `https://${plain.host}` } });
      expect([https.wrong, https.of('tls').mend]).toEqual([
        ['tls'],
        [`export VAULT_ADDR=http://${plain.host}`],
      ]);
    });
  });
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address === null || typeof address === 'string' ? 0 : address.port;
}
