import { access, cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, type Environment } from '../../../lib/host/local/cache-folder.ts';
import { moveIntoPlace } from '../../../lib/host/local/move-into-place.ts';
import { findOnPath, lastLines, runCommand } from '../../../lib/host/local/run-command.ts';
import { stagingFolder } from '../../../lib/host/local/staging-folder.ts';
import { type NpmPackage, unpackNpmPackage } from './npm-package.ts';

/**
 * AWS's own runtime client for Node.js: what Lambda itself runs, and what is built into images. Not among the devDependencies: its
 * install scripts build curl.
 */
const CLIENT: NpmPackage = {
  name: 'aws-lambda-ric',
  version: '4.0.2',
  integrity:
    'sha512-FE5Vskx7mYNnqAnWWJXUOsLp2VGgdsJsCoRLFTa8L4Yk0QVtArqR8q58yPA++QC1a73ZWJXBQ2AH31nIAv7NOQ==',
};
/** Headers that its compiled part is built with. */
const ADDON_API: NpmPackage = {
  name: 'node-addon-api',
  version: '8.5.0',
  integrity:
    'sha512-/bRZty2mXUIFY/xU5HLvveNHlswNJej+RnxBjOMkidWfwZzgTbPG1E3K5TOxRLOR+5hX7bSofy8yf1hZevMS8A==',
};
/** The part that speaks to the Runtime API. It asks nothing of V8 itself (Node-API), so any Node may load it. */
const COMPILED = 'rapid-client.node';
const TOOLS = ['cmake', 'make', 'g++', 'sh', 'tar', 'xz', 'ldd'];

/** What runs a function as Lambda does. */
export interface RuntimeClient {
  /** Arguments for node. */
  readonly args: readonly string[];
  /** Why its compiled part is not there, and ours stands in for it (uncompiled-client.ts); undefined: all of it is AWS's. */
  readonly notCompiled?: string;
}

/** The client from the cache folder, where it is downloaded, and where that can be done compiled, the first time. */
export async function findRuntimeClient(env: Environment): Promise<RuntimeClient> {
  const { plain, compiled } = foldersIn(cacheFolder(env));
  if (await has(compiled, COMPILED)) return { args: [path.join(compiled, 'index.mjs')] };
  const notCompiled = await compile(compiled, env);
  if (notCompiled === undefined) return { args: [path.join(compiled, 'index.mjs')] };
  return { ...(await uncompiledClient(plain, env)), notCompiled };
}

/** The client without its compiled part, wherever there is npm. */
export async function findUncompiledClient(env: Environment): Promise<RuntimeClient> {
  return uncompiledClient(foldersIn(cacheFolder(env)).plain, env);
}

function foldersIn(cache: string) {
  const plain = path.join(cache, `${CLIENT.name}-${CLIENT.version}`);
  return { plain, compiled: `${plain}-${process.platform}-${process.arch}` };
}

async function uncompiledClient(folder: string, env: Environment): Promise<RuntimeClient> {
  if (!(await has(folder, COMPILED))) {
    await prepared(folder, COMPILED, async (staging) => {
      const unpacked = await unpackNpmPackage(CLIENT, staging, env);
      // Found by its name, and then taken from the stand-in.
      await writeFile(path.join(unpacked, COMPILED), '');
      return unpacked;
    });
  }
  const standIn = fileURLToPath(new URL('./uncompiled-client.ts', import.meta.url));
  return { args: ['--import', standIn, path.join(folder, 'index.mjs')] };
}

/** Builds the compiled part by AWS's own script, and then as its binding.gyp says. Gives the reason why it cannot be done here. */
async function compile(folder: string, env: Environment): Promise<string | undefined> {
  if (process.platform !== 'linux') return `it is not built on ${process.platform}`;
  for (const tool of TOOLS) {
    if ((await findOnPath(tool, env)) === undefined) return `${tool} is not on PATH`;
  }
  const headers = path.join(path.dirname(path.dirname(process.execPath)), 'include/node');
  if (!(await has(headers, 'node_api.h'))) return 'Node is without its headers';
  try {
    await prepared(folder, COMPILED, (staging) => build(staging, headers, env));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : 'it does not build';
  }
}

async function build(staging: string, headers: string, env: Environment): Promise<string> {
  const source = await unpackNpmPackage(CLIENT, staging, env);
  const addon = path.join(staging, 'addon');
  await mkdir(addon);
  const run = async (command: string, ...args: string[]) => {
    const { code, stderr } = await runCommand(command, args, { env, cwd: source });
    if (code !== 0) throw new Error(`${command} failed: ${lastLines(stderr, 3)}`);
  };
  await run('sh', 'scripts/preinstall.sh');
  const includes = [headers, await unpackNpmPackage(ADDON_API, addon, env), 'deps/artifacts/include'];
  const libraries = ['libaws-lambda-runtime.a', 'libcurl.a'].map((name) => `deps/artifacts/lib/${name}`);
  const settings = ['-std=c++20', '-O2', '-fPIC', '-shared', '-fvisibility=hidden', '-pthread'];
  const defined = ['-DNODE_GYP_MODULE_NAME=rapid_client', '-DBUILDING_NODE_EXTENSION'];
  const included = includes.map((folder) => `-I${folder}`);
  await run(
    'g++',
    ...settings,
    ...defined,
    ...included,
    'src/native/rapid-client.cc',
    ...libraries,
    '-o',
    COMPILED,
  );
  const finished = path.join(staging, 'finished');
  await mkdir(finished);
  for (const file of ['index.mjs', 'package.json'])
    await cp(path.join(source, file), path.join(finished, file));
  await rename(path.join(source, COMPILED), path.join(finished, COMPILED));
  return finished;
}

/** Makes a folder beside its place and moves it there by one rename: a run that is broken off leaves no half of it. */
async function prepared(
  folder: string,
  file: string,
  make: (staging: string) => Promise<string>,
): Promise<void> {
  const staging = await stagingFolder(path.dirname(folder), '.lambda-');
  try {
    await moveIntoPlace(await make(staging), folder, () => has(folder, file));
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

const has = (folder: string, file: string) =>
  access(path.join(folder, file)).then(
    () => true,
    () => false,
  );
