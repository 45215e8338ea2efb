import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { main } from '../../../lib/cli/main.ts';
import { FUNCTIONS } from '../../../lib/host/identities.ts';
import { freePorts } from '../../../lib/host/local/free-port.ts';
import { runCommand } from '../../../lib/host/local/run-command.ts';
import { startTokenReview, type TokenReviewServer } from '../../../lib/host/local/token-review.ts';
import { kubernetesAuth } from '../../../lib/vault/auth/kubernetes.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { POD_SETTINGS, settingsIn } from '../../deploy-files/files.ts';
import { fencedBlocks, readProjectFile } from '../../docs/documents.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { until } from '../../support/until.ts';
import { makeImage } from './image.ts';

const lookupAnswer = z.object({ data: z.object({ policies: z.array(z.string()) }) });
const keysAnswer = z.object({ data: z.object({ keys: z.array(z.string()) }) });

/** What the document says to run, as words without `leasekeeper`. */
function documentedSetup(): readonly string[] {
  const commands = fencedBlocks(readProjectFile('docs/deploy-one-process.md'), 'sh')
    .join('\n')
    .replaceAll('\\\n', ' ');
  const [line = ''] = commands.split('\n').filter((one) => /^leasekeeper setup .*--kubernetes/.test(one));
  return line.split(/\s+/).slice(1);
}

describe('one process in a pod, with what is in its image and the settings of the manifests', () => {
  const root = uniqueName('root');
  let folder: string;
  /** Node and the image's own entry. */
  let command: readonly string[];
  let reviews: TokenReviewServer;
  let client: VaultClient;
  let jwt: string;
  let environment: Record<string, string>;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-image-'));
    const image = await makeImage(folder);
    command = ['--preserve-symlinks', '--preserve-symlinks-main', path.join(image, 'dist/lib/cli/main.js')];
    const { request, address, rootToken } = admin(inject);
    client = new VaultClient({ transport: createTransport({ address }) });
    reviews = await startTokenReview({ dataDir: folder });
    await request('POST', `sys/namespaces/${root}`, {});
    await request('POST', `${root}/sys/auth/kubernetes`, { type: 'kubernetes' });
    await request('POST', `${root}/auth/kubernetes/config`, {
      kubernetes_host: reviews.url,
      kubernetes_ca_cert: 'none',
      disable_local_ca_jwt: true,
    });
    environment = {
      VAULT_ADDR: address,
      VAULT_NAMESPACE: `${root}/lotabots`,
      VAULT_AUTH_NAMESPACE: root,
      LEASEKEEPER_STATE_MOUNT: `${root}/leasekeeper`,
    };
    const said: string[] = [];
    const code = await main([...documentedSetup(), '--layout', 'prefix'], {
      environment: { ...environment, VAULT_TOKEN: rootToken },
      out: () => {},
      error: (text) => said.push(text),
    });
    expect([code, ...said]).toEqual([0]);
    jwt = (await reviews.sign({ namespace: 'leasekeeper', name: 'leasekeeper', audience: 'vault' })).expose();
    await writeFile(path.join(folder, 'token'), jwt);
  }, 120_000);
  afterAll(async () => {
    await reviews.stop();
    await client.close();
    await rm(folder, { recursive: true });
  });

  it('its image can prepare a Vault too', async () => {
    const { code, stdout } = await runCommand(
      process.execPath,
      [...command, 'setup', '--print', '--layout', 'prefix'],
      {
        env: {},
      },
    );
    expect(code).toBe(0);
    expect(stdout).toContain('# policy leasekeeper-rotate\n');
  });

  it.each(FUNCTIONS)('its service account logs in as %s, and gets that policy alone', async (name) => {
    const method = kubernetesAuth({ role: `leasekeeper-${name}`, jwt: async () => jwt, authNamespace: root });
    const { token } = await method.login(client);
    const { address } = inject('openbao');
    const answer = await fetch(`${address}/v1/${root}/auth/token/lookup-self`, {
      headers: { 'x-vault-token': token },
    });
    expect(lookupAnswer.parse(await answer.json()).data.policies).toEqual([`leasekeeper-${name}`]);
  });

  it('no other service account does', async () => {
    const others = [
      { namespace: 'leasekeeper', name: 'default' },
      { namespace: 'lotabots', name: 'leasekeeper' },
      { namespace: 'leasekeeper', name: 'leasekeeper', audience: 'other' },
    ];
    for (const other of others) {
      const shown = (await reviews.sign({ audience: 'vault', ...other })).expose();
      const method = kubernetesAuth({
        role: 'leasekeeper-scan',
        jwt: async () => shown,
        authNamespace: root,
      });
      await expect(method.login(client)).rejects.toMatchObject({ code: 'vault_denied' });
    }
  });

  it('gets ready, and at its end gives back its tokens', async () => {
    const accessors = async () => {
      const list = await admin(inject).request('GET', `${root}/auth/token/accessors?list=true`);
      return keysAnswer.parse(list).data.keys.length;
    };
    const before = await accessors();
    const [port = 0] = await freePorts(1);
    const address = `http://127.0.0.1:${port}`;
    const child = spawn(process.execPath, [...command, 'serve'], {
      cwd: folder,
      env: {
        ...settingsIn(POD_SETTINGS),
        ...environment,
        LEASEKEEPER_JWT_FILE: path.join(folder, 'token'),
        LEASEKEEPER_LISTEN: `127.0.0.1:${port}`,
      },
      stdio: 'ignore',
    });
    const ended = once(child, 'exit');
    try {
      await until(async () => (await fetch(`${address}/livez`).catch(() => undefined))?.ok === true);
      await until(async () => (await fetch(`${address}/readyz`)).ok);
      expect(await accessors()).toBeGreaterThan(before);
    } finally {
      child.kill('SIGTERM');
    }
    expect(await ended).toEqual([0, null]);
    expect(await accessors()).toBe(before);
  });
});
