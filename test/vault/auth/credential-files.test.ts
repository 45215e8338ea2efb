import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { appRoleAuth } from '../../../lib/vault/auth/approle.ts';
import { certAuth } from '../../../lib/vault/auth/cert.ts';
import { readCredentialFile } from '../../../lib/vault/auth/credential-file.ts';
import { jwtAuth } from '../../../lib/vault/auth/jwt.ts';
import { kubernetesAuth } from '../../../lib/vault/auth/kubernetes.ts';
import { tokenAuth } from '../../../lib/vault/auth/token.ts';
import { tokenFileAuth } from '../../../lib/vault/auth/token-file.ts';
import { readClientCertificate } from '../../../lib/vault/client-certificate.ts';
import { issue } from '../../rotation/probes/certificates.ts';
import { askedBy, saidBy } from './asked-login.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-credentials-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileWith(text: string): Promise<string> {
  const file = path.join(await mkdtemp(path.join(folder, 'file-')), 'credential');
  await writeFile(file, text);
  return file;
}

const read = async (file: string) => (await readCredentialFile(file, 'JWT')).expose();
const faultOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a file with a credential', () => {
  it('is read without the white space around it, as a secret', async () => {
    const secret = await readCredentialFile(await fileWith('\n head.body.sig \r\n'), 'JWT');
    expect(secret.expose()).toBe('head.body.sig');
    expect(String(secret)).toBe('[secret]');
  });

  it.each([
    ['empty', '', 'empty'],
    ['blank', ' \n', 'empty'],
    ['of two lines', 'hunter2\nhunter3', 'more than one word'],
    ['of two words', 'token hunter2', 'more than one word'],
    ['with NUL', 'hunter2\0', 'other characters'],
    ['with other characters', 'hünter2', 'other characters'],
    ['with a wrapped token', '{"token":"hunter2","ttl":300}', 'JSON'],
  ])('is refused when it is %s, and not repeated', async (_, text, why) => {
    const file = await fileWith(text);
    const error = await faultOf(read(file));
    expect(error).toMatchObject({
      code: 'credential_file_unreadable',
      message: expect.stringMatching(new RegExp(`^No JWT can be read from .*${why}`)),
      hint: expect.any(String),
    });
    expect(saidBy(error)).toContain(file);
    expect(saidBy(error)).not.toMatch(/hunter|hünter/);
  });

  it.each([
    ['missing', async () => path.join(folder, 'none'), 'ENOENT'],
    ['a folder', async () => folder, 'EISDIR'],
  ])('is refused when it is %s', async (_, place, why) => {
    expect(await faultOf(read(await place()))).toMatchObject({
      code: 'credential_file_unreadable',
      message: expect.stringContaining(why),
    });
  });

  it('is followed through a projected volume, where the kubelet swaps a link', async () => {
    const volume = await mkdtemp(path.join(folder, 'volume-'));
    const publish = async (generation: string, token: string) => {
      await mkdir(path.join(volume, generation));
      await writeFile(path.join(volume, generation, 'token'), token);
      await symlink(generation, path.join(volume, '..data_tmp'));
      await rename(path.join(volume, '..data_tmp'), path.join(volume, '..data'));
    };
    await publish('..2026_1', 'first');
    await symlink('..data/token', path.join(volume, 'token'));
    const file = path.join(volume, 'token');
    expect(await read(file)).toBe('first');
    await publish('..2026_2', 'second');
    expect(await read(file)).toBe('second');
  });
});

describe('a token in a file', () => {
  it('is another once the file holds another, and not while it cannot be read', async () => {
    const file = await fileWith('first');
    const { given } = tokenFileAuth({ file });
    const isReplaced = () => given?.isReplaced(new Secret('first'));
    expect(await isReplaced()).toBe(false);
    await writeFile(file, 'second');
    expect(await isReplaced()).toBe(true);
    await writeFile(file, '');
    expect(await isReplaced()).toBe(false);
    await rm(file);
    expect(await isReplaced()).toBe(false);
  });

  it('is not asked for when the file is malformed', async () => {
    const error = await faultOf(askedBy(tokenFileAuth({ file: await fileWith('hunter2 hunter2') })));
    expect(error).toMatchObject({ code: 'credential_file_unreadable' });
    expect(saidBy(error)).not.toContain('hunter2');
  });
});

describe('each method', () => {
  const secretId = new Secret('secret-id');
  const jwt = async () => 'head.body.sig';
  const file = () => fileWith('token');

  it.each([
    ['jwt', () => jwtAuth({ role: 'app', jwt }), '/v1/auth/jwt/login', { role: 'app', jwt: 'head.body.sig' }],
    [
      'kubernetes',
      () => kubernetesAuth({ role: 'app', jwt }),
      '/v1/auth/kubernetes/login',
      { role: 'app', jwt: 'head.body.sig' },
    ],
    [
      'approle',
      () => appRoleAuth({ roleId: 'id', secretId }),
      '/v1/auth/approle/login',
      { role_id: 'id', secret_id: 'secret-id' },
    ],
    [
      'approle',
      () => appRoleAuth({ roleId: 'id', secretId: async () => new Secret('asked') }),
      '/v1/auth/approle/login',
      { role_id: 'id', secret_id: 'asked' },
    ],
    ['cert', () => certAuth(), '/v1/auth/cert/login', {}],
    ['cert', () => certAuth({ role: 'web' }), '/v1/auth/cert/login', { name: 'web' }],
    ['token', () => tokenAuth(new Secret('token')), '/v1/auth/token/lookup-self', {}],
    ['token-file', async () => tokenFileAuth({ file: await file() }), '/v1/auth/token/lookup-self', {}],
  ])('%s asks at its own mount', async (name, make, asked, body) => {
    const method = await make();
    expect(method.name).toBe(name);
    expect(await askedBy(method)).toEqual({ path: asked, body });
  });

  const there = { mount: 'other/mount', authNamespace: 'team/a' };
  it.each([
    ['jwt', () => jwtAuth({ role: 'app', jwt, ...there }), 'auth/other/mount/login'],
    ['kubernetes', () => kubernetesAuth({ role: 'app', jwt, ...there }), 'auth/other/mount/login'],
    ['approle', () => appRoleAuth({ roleId: 'id', secretId, ...there }), 'auth/other/mount/login'],
    ['cert', () => certAuth(there), 'auth/other/mount/login'],
    ['token', () => tokenAuth(new Secret('token'), 'team/a'), 'auth/token/lookup-self'],
    [
      'token-file',
      async () => tokenFileAuth({ file: await file(), authNamespace: 'team/a' }),
      'auth/token/lookup-self',
    ],
  ])('%s asks at its mount in its namespace', async (_, make, asked) => {
    expect((await askedBy(await make())).path).toBe(`/v1/team/a/${asked}`);
  });
});

describe('a client certificate', () => {
  const one = issue();
  const pair = async (cert: string, key: string) => [await fileWith(cert), await fileWith(key)] as const;

  it('is read with its key', async () => {
    const [cert, key] = await pair(one.certificate, one.key);
    expect(readClientCertificate(cert, key)).toEqual({ cert: one.certificate, key: one.key });
  });

  it.each([
    ['a certificate that is none', 'hunter2', one.key],
    ['a key that is none', one.certificate, 'hunter2'],
    ['a key that is broken', one.certificate, one.key.replace(/\n[\w+/]{20}/, '\nhunter2hunter2hunter')],
    ['the key of another', one.certificate, issue().key],
    ['no key', one.certificate, ''],
  ])('is refused with %s, and not repeated', async (_, cert, key) => {
    const files = await pair(cert, key);
    const error = await faultOf((async () => readClientCertificate(...files))());
    expect(error).toMatchObject({
      code: 'client_certificate_unreadable',
      message: expect.stringContaining(files[key === '' ? 1 : 0]),
      hint: expect.stringContaining('PEM'),
    });
    expect(saidBy(error)).not.toContain('hunter2');
    for (const line of key.split('\n').filter((text) => /^[\w+/=]{16,}$/.test(text)))
      expect(saidBy(error)).not.toContain(line);
  });

  it('is refused when a file is missing', async () => {
    const [cert] = await pair(one.certificate, '');
    const fault = await faultOf((async () => readClientCertificate(cert, path.join(folder, 'none')))());
    expect(fault).toMatchObject({
      code: 'client_certificate_unreadable',
      message: expect.stringContaining('ENOENT'),
    });
  });
});
