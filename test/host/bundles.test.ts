import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { noticeSchemas } from '../../lib/bus/event-schemas.ts';
import { FUNCTIONS } from '../../lib/host/identities.ts';
import { openApi } from '../../lib/host/openapi/openapi.ts';

const run = promisify(execFile);
const root = path.dirname(path.dirname(import.meta.dirname));
let folder = '';

const bundle = (...args: string[]) =>
  run(process.execPath, [path.join(root, 'scripts/bundle.mjs'), '--outdir', folder, ...args]);
const inFolder = (name: string) => pathToFileURL(path.join(folder, name, 'index.mjs')).href;
const sizesFile = () => path.join(folder, 'sizes.json');
const BASELINE = path.join(root, 'bench/bundle-sizes.json');
const ALLOWED_GROWTH = 1.1;
const sizesSchema = z.record(z.enum(FUNCTIONS), z.object({ start: z.number(), total: z.number() }));

/**
 * Runs a program that may read the bundles and nothing else, may start nothing, and has the environment that is given. It must come to
 * its end without being told to. Gives what it printed, line by line.
 */
async function alone(program: string, env: Record<string, string> = {}): Promise<unknown[]> {
  const limits = ['--permission', `--allow-fs-read=${folder}`];
  const { stdout } = await run(process.execPath, [...limits, '--input-type=module', '--eval', program], {
    cwd: folder,
    env,
    timeout: 25_000,
  });
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-bundles-'));
  await bundle('--sizes', sizesFile());
}, 60_000);
afterAll(async () => rm(folder, { recursive: true, force: true }));

/** What is loaded with a function, and what it may load later. */
async function partsOf(name: string) {
  const files = (await readdir(path.join(folder, name))).filter((file) => file.endsWith('.mjs'));
  const texts = await Promise.all(
    files.map(async (file) => ({ file, text: await readFile(path.join(folder, name, file), 'utf8') })),
  );
  const start = texts.filter(({ file }) => file === 'index.mjs').map(({ text }) => text);
  return { start: start.join(''), all: texts.map(({ text }) => text).join('') };
}

/** The functions that have a text among their parts, and among those of their start. */
async function holdersOf(text: string) {
  const held = await Promise.all(
    FUNCTIONS.map(async (name) => {
      const { start, all } = await partsOf(name);
      return { name, atStart: start.includes(text), anywhere: all.includes(text) };
    }),
  );
  return {
    atStart: held.flatMap(({ name, atStart }) => (atStart ? [name] : [])),
    anywhere: held.flatMap(({ name, anywhere }) => (anywhere ? [name] : [])),
  };
}

describe('the bundles', () => {
  it('are a folder for each function, with maps beside what is loaded', async () => {
    const folders = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory());
    expect(folders.map(({ name }) => name).toSorted()).toEqual([...FUNCTIONS].toSorted());
    for (const name of FUNCTIONS) {
      const files = await readdir(path.join(folder, name));
      expect(files).toContain('index.mjs');
      for (const file of files) expect(file).toMatch(/\.(mjs|mjs\.map|wasm)$/);
      for (const file of files.filter((one) => one.endsWith('.mjs'))) expect(files).toContain(`${file}.map`);
    }
  });

  it.each(FUNCTIONS)('%s loads by itself, and starts nothing', async (name) => {
    const program = `
      import dns from 'node:dns';
      import net from 'node:net';
      let asked = 0;
      for (const [owner, method] of [[net.Socket.prototype, 'connect'], [net.Server.prototype, 'listen'], [dns, 'lookup']])
        owner[method] = () => { asked += 1; };
      const { handler } = await import(${JSON.stringify(inFolder(name))});
      process.on('exit', () => console.log(JSON.stringify({ handler: typeof handler, asked })));`;
    expect(await alone(program)).toEqual([{ handler: 'function', asked: 0 }]);
  });

  it('leave the AWS SDK out of fetch, which publishes nothing, and out of the start of the others', async () => {
    expect(await holdersOf('com.amazonaws.eventbridge')).toEqual({
      atStart: [],
      anywhere: FUNCTIONS.filter((name) => name !== 'fetch'),
    });
  });

  it('never import node:http, for which Node would load an undici of its own', async () => {
    for (const name of FUNCTIONS) {
      const { all } = await partsOf(name);
      expect(all, name).toContain('"node:http"');
      expect(all, name).not.toMatch(/(from|import|import\()\s*["'](node:)?http["']/);
    }
  });

  it('leave databases out of all but rotate, and out of its start', async () => {
    expect(await holdersOf('SCRAM-SHA-256')).toEqual({ atStart: [], anywhere: ['rotate'] });
    expect(await holdersOf('mysql_native_password')).toEqual({ atStart: [], anywhere: ['rotate'] });
  });

  it('leave YAML and the description of the routes out of all but manage, and out of its start', async () => {
    expect(await holdersOf('tag:yaml.org,2002:')).toEqual({ atStart: [], anywhere: ['manage'] });
    expect(await holdersOf('api-gateway-database')).toEqual({ atStart: [], anywhere: ['manage'] });
  });

  it.each(FUNCTIONS)('%s is not more than a tenth larger than bench/bundle-sizes.json says', async (name) => {
    const kept = sizesSchema.parse(JSON.parse(await readFile(BASELINE, 'utf8')))[name];
    const found = sizesSchema.parse(JSON.parse(await readFile(sizesFile(), 'utf8')))[name];
    const said = `${name} has ${found.start} bytes at the start and ${found.total} in all; bench/bundle-sizes.json allows a tenth more than ${kept.start} and ${kept.total}. See what has come along: \`npm run bundle\` lists the heaviest parts. If it is wanted, \`npm run bundle -- --sizes bench/bundle-sizes.json\` writes the new sizes, to be committed; the table in docs/bundles.md is to be made again.`;
    expect(found.start, said).toBeLessThanOrEqual(kept.start * ALLOWED_GROWTH);
    expect(found.total, said).toBeLessThanOrEqual(kept.total * ALLOWED_GROWTH);
  });

  it('describe the routes and the notices as the code does', async () => {
    const asked = ['/openapi.json', ...Object.keys(noticeSchemas()).map((type) => `/v1/schemas/${type}`)];
    const program = `
      const { handler } = await import(${JSON.stringify(inFolder('manage'))});
      for (const path of ${JSON.stringify(asked)}) {
        const requestContext = { requestId: 'request-1', http: { method: 'GET', path } };
        const answer = await handler({ version: '2.0', rawPath: path, headers: {}, requestContext }, { awsRequestId: 'lambda-1' });
        if (answer.statusCode === 200) console.log(answer.body);
      }`;
    const plain: unknown = JSON.parse(JSON.stringify([openApi(), ...Object.values(noticeSchemas())]));
    expect(await alone(program)).toEqual(plain);
  });

  it('keep the names of errors, which logs tell apart by', async () => {
    const event = {
      version: '2.0',
      rawPath: '/v1/secrets/a',
      headers: { 'x-vault-token': 'hunter2' },
      requestContext: { requestId: 'request-1', http: { method: 'GET', path: '/v1/secrets/a' } },
    };
    const program = `
      const { handler } = await import(${JSON.stringify(inFolder('fetch'))});
      console.log(JSON.stringify(await handler(${JSON.stringify(event)}, { awsRequestId: 'lambda-1' })));`;
    const lines = await alone(program, {
      VAULT_ADDR: 'http://127.0.0.1:1',
      LEASEKEEPER_APPROLE_PARAMETER: '/lk/fetch',
      AWS_REGION: 'eu-west-1',
    });
    expect(lines).toContainEqual(expect.objectContaining({ statusCode: 503 }));
    expect(lines).toContainEqual(
      expect.objectContaining({
        msg: 'request failed',
        request_id: 'request-1',
        // That the connection was refused shows that the bundle tried one, with the parts of undici that it has.
        err: expect.objectContaining({
          name: 'VaultError',
          message: 'Vault cannot be reached (ECONNREFUSED).',
        }),
      }),
    );
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });
});
