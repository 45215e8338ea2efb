import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { main } from '../../../lib/cli/main.ts';
import { appRoleFileSchema } from '../../../lib/host/identities.ts';
import { createSetupWorld, LAYOUTS, type SetupWorld } from './setup-world.ts';

const SPECIFICATION = {
  name: 'app-database',
  kind: 'lease',
  source: 'database/creds/app',
  publish: 'app/database',
  token_role: 'leasekeeper-app-database',
  consumers: ['app'],
  grace: '10s',
  deadline: '1m',
};

describe.each(LAYOUTS)('the commands against a Vault, layout %s', (layout) => {
  let world: SetupWorld;
  let folder: string;

  beforeAll(async () => {
    world = await createSetupWorld(layout);
    folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-cli-'));
  });
  afterAll(async () => {
    await world.close();
    await rm(folder, { recursive: true });
  });

  async function run(...args: string[]) {
    const { address, rootToken } = inject('openbao');
    const out: string[] = [];
    const error: string[] = [];
    const code = await main(args, {
      environment: {
        VAULT_ADDR: address,
        VAULT_TOKEN: rootToken,
        VAULT_NAMESPACE: `${world.root}/lotabots`,
        VAULT_AUTH_NAMESPACE: world.root,
        LEASEKEEPER_STATE_MOUNT: `${world.root}/leasekeeper`,
      },
      out: (text) => out.push(text),
      error: (text) => error.push(text),
    });
    return { code, out: out.join('\n'), error: error.join('\n') };
  }

  async function file(name: string, content: unknown): Promise<string> {
    const where = path.join(folder, name);
    await writeFile(where, typeof content === 'string' ? content : JSON.stringify(content));
    return where;
  }

  it('says what to do where nothing is prepared', async () => {
    const specification = await file('one.json', SPECIFICATION);
    const notPrepared = { code: 1, out: '', error: expect.stringContaining('agenda_not_set_up') };
    expect(await run('apply', '-f', specification)).toMatchObject(notPrepared);
    expect(await run('list')).toMatchObject(notPrepared);
  });

  it('finds the layout, prepares for a managed secret, and writes credentials nobody else can read', async () => {
    const credentials = path.join(folder, 'approle.json');
    const specification = await file('one.json', SPECIFICATION);
    const made = await run('setup', '--managed', specification, '--approle-file', credentials);
    expect(made).toMatchObject({ code: 0, error: '' });
    const tokenNamespace = layout === 'namespace' ? `${world.root}/lotabots` : world.root;
    expect(made.out).toContain(`made       token role ${tokenNamespace}/leasekeeper-app-database`);
    const given = `policy ${world.root}/leasekeeper-consumer-app, to be given to the role of app`;
    expect(made.out).toContain(`made       ${given}\n`);
    expect((await run('setup', '--managed', specification, '--print')).out).toContain(`\n# ${given}\n`);
    expect((await stat(credentials)).mode & 0o777).toBe(0o600);
    const written = appRoleFileSchema.parse(JSON.parse(await readFile(credentials, 'utf8')));
    expect(Object.keys(written)).toEqual(['scan', 'renew', 'rotate', 'notify', 'fetch', 'manage']);
    expect(made.out).not.toContain(written.scan?.secret_id);
    const again = await run('setup', '--managed', specification);
    expect(again.code).toBe(0);
    expect(again.out).toMatch(/^0 made, 0 updated, \d+ there already, 0 different$/m);
  });

  it('leaves with 3 what differs', async () => {
    await world.admin.request('PUT', `${world.root}/sys/policies/acl/leasekeeper-fetch`, {
      policy: '# Nothing.',
    });
    expect(await run('setup')).toMatchObject({
      code: 3,
      error: expect.stringContaining('setup_differences'),
    });
    expect((await run('setup', '--update')).code).toBe(0);
  });

  it('applies, lists, shows and rotates', async () => {
    const specification = await file('two.yaml', toYaml(SPECIFICATION));
    expect(await run('apply', '-f', specification)).toMatchObject({
      code: 0,
      out: 'app-database: created; its first generation is due now',
    });
    const list = await run('list', '--json');
    expect(JSON.parse(list.out)).toMatchObject([{ name: 'app-database', phase: 'idle', generation: null }]);
    expect((await run('list')).out).toMatch(/^app-database {2}lease {2}idle/m);
    expect(await run('rotate', 'app-database', '--leak')).toMatchObject({ code: 0 });
    const shown = JSON.parse((await run('show', 'app-database')).out);
    expect(shown).toMatchObject({ specification: SPECIFICATION, state: { phase: 'idle' } });
    expect(await run('show', 'other')).toMatchObject({
      code: 1,
      error: expect.stringMatching(/^leasekeeper: managed_secret_unknown: .*\n {2}\S/),
    });
  });

  it('changes nothing when one of several specifications is wrong', async () => {
    const wrong = { ...SPECIFICATION, name: 'wrong', grace: 'ten minutes', token_role: undefined };
    const both = await file('both.json', [{ ...SPECIFICATION, name: 'right' }, wrong]);
    const result = await run('apply', '-f', both);
    expect(result).toMatchObject({ code: 1, out: '' });
    expect(result.error).toContain('wrong: grace: expected a duration such as 90s');
    expect(result.error).toContain('wrong: token_role: is missing');
    expect((await run('show', 'right')).code).toBe(1);
  });

  it('adds roles to a kubernetes auth method that is there, and makes none itself', async () => {
    const args = ['setup', '--no-approle', '--kubernetes', 'k8s', '--audience', 'vault'];
    expect(await run(...args)).toMatchObject({
      code: 1,
      error: expect.stringContaining('setup_auth_method_missing'),
    });
    const { request } = world.admin;
    await request('POST', `${world.root}/sys/auth/k8s`, { type: 'kubernetes' });
    await request('POST', `${world.root}/auth/k8s/config`, {
      kubernetes_host: 'https://127.0.0.1:1',
      kubernetes_ca_cert: 'none',
      disable_local_ca_jwt: true,
    });
    expect((await run(...args)).out).toMatch(/^6 made, 0 updated, \d+ there already, 0 different$/m);
    expect((await run(...args)).out).toMatch(/^0 made, 0 updated, \d+ there already, 0 different$/m);
  });

  it('refuses to prepare for a path that no engine serves', async () => {
    const refused = async (change: Readonly<Record<string, string>>) => {
      const result = await run('setup', '--managed', await file('x.json', { ...SPECIFICATION, ...change }));
      expect(result).toMatchObject({ code: 1, out: '' });
      return result.error;
    };
    expect(await refused({ publish: 'nowhere/x' })).toContain('setup_publish_mount_missing');
    const where = `${world.root}/lotabots/nowhere/creds/x`;
    expect(await refused({ source: 'nowhere/creds/x' })).toContain(
      `setup_source_mount_missing: app-database uses ${where}`,
    );
  });
});

function toYaml(specification: Readonly<Record<string, string | readonly string[]>>): string {
  return Object.entries(specification)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join('');
}
