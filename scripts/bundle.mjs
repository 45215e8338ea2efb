/**
 * Bundles each function for AWS Lambda into one file: `node scripts/bundle.mjs [--outdir <folder>] [<entry>…]`. Without
 * arguments functions/*.ts go to dist/bundles/, where serverless.yml takes them from. Plain JavaScript that Node 20 runs.
 *
 * A source map is written beside each bundle and linked, without the sources. It is larger than the bundle, so it is
 * not deployed: a stack trace is read with it here.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** What CommonJS packages ask for in a module: `require` of Node's own parts. */
const REQUIRE =
  "import{createRequire as bundleRequire}from'node:module';const require=bundleRequire(import.meta.url);";

/** Modules that take another's place in a bundle, by the name they are imported with. */
const REPLACED = {
  // undici's index loads all of it: fetch, caches, mocks, proxies. These are the parts that lib/ imports.
  undici: `
    import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
    import request from 'undici/lib/api/api-request.js';
    Dispatcher.prototype.request = request;
    export { default as Agent } from 'undici/lib/dispatcher/agent.js';
    export { default as Pool } from 'undici/lib/dispatcher/pool.js';
    export { default as buildConnector } from 'undici/lib/core/connect.js';
    export { default as errors } from 'undici/lib/core/errors.js';`,
  // On Lambda credentials are in the environment; the other ways (SSO, profiles, processes) are half of the SDK.
  '@aws-sdk/credential-provider-node':
    "export { fromEnv as defaultProvider } from '@aws-sdk/credential-provider-env';",
};

/** Parts of undici that are never loaded: its experimental parser, and llhttp for processors without SIMD. */
const NEVER_LOADED = /undici\/lib\/(milo\/.*|llhttp\/llhttp-wasm)\.js$/;

const inFolder = (/** @type {string} */ file) => path.relative(root, file).split(path.sep).join('/');

/** @type {import('esbuild').Plugin} */
const lean = {
  name: 'lean',
  setup(bundler) {
    for (const name of Object.keys(REPLACED)) {
      const filter = new RegExp(`^${name}$`);
      bundler.onResolve({ filter }, () => ({ path: name, namespace: 'replaced' }));
    }
    bundler.onLoad({ filter: /.*/, namespace: 'replaced' }, ({ path: name }) => ({
      contents: REPLACED[name],
      resolveDir: root,
    }));
    bundler.onLoad({ filter: NEVER_LOADED }, () => ({
      contents: "throw new Error('This part is not in the bundle.');",
    }));
    // Importing a file of ours does nothing by itself, so what a function does not use of lib/host/wire.ts stays out.
    bundler.onResolve({ filter: /^\.\.?\// }, ({ importer, resolveDir, path: asked }) =>
      /^(lib|functions)\//.test(inFolder(importer))
        ? { path: path.resolve(resolveDir, asked), sideEffects: false }
        : undefined,
    );
  },
};

/**
 * @param {string[]} entries
 * @param {string} outdir
 */
async function bundle(entries, outdir) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: entries,
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    mainFields: ['module', 'main'],
    minify: true,
    // Errors are told apart, and logged, by the names of their classes.
    keepNames: true,
    legalComments: 'none',
    sourcemap: 'linked',
    sourcesContent: false,
    banner: { js: REQUIRE },
    // An optional native part of pg, asked for only by who uses it.
    external: ['pg-native'],
    plugins: [lean],
    metafile: true,
    write: true,
    logLevel: 'warning',
  });
  return metafile;
}

/** The packages that weigh most in a bundle, in kB. @param {import('esbuild').Metafile['outputs'][string]} output */
function heaviest(output) {
  /** @type {Map<string, number>} */
  const weights = new Map();
  for (const [file, { bytesInOutput }] of Object.entries(output.inputs)) {
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? 'own';
    weights.set(name, (weights.get(name) ?? 0) + bytesInOutput);
  }
  const first = [...weights].sort(([, a], [, b]) => b - a).slice(0, 5);
  return first.map(([name, bytes]) => `${name} ${kilobytes(bytes)}`).join(', ');
}

const kilobytes = (/** @type {number} */ bytes) => Math.round(bytes / 1_000);
const pad = (/** @type {number} */ value, /** @type {number} */ width) => String(value).padStart(width);

const { values, positionals } = parseArgs({
  options: { outdir: { type: 'string' } },
  allowPositionals: true,
});
const outdir = values.outdir ?? path.join(root, 'dist/bundles');
const functions = readdirSync(path.join(root, 'functions')).filter((file) => file.endsWith('.ts'));
const entries = positionals.length > 0 ? positionals : functions.map((file) => `functions/${file}`);
// A function that is gone must not stay behind and be deployed. A folder that was named may hold other things.
if (values.outdir === undefined) rmSync(outdir, { recursive: true, force: true });

const { outputs } = await bundle(entries, path.resolve(outdir));
console.log('bundle           kB   gzip kB   heaviest parts (kB)');
for (const [file, output] of Object.entries(outputs)) {
  if (!file.endsWith('.mjs')) continue;
  const zipped = gzipSync(readFileSync(path.resolve(root, file))).length;
  const sizes = `${pad(kilobytes(output.bytes), 7)}${pad(kilobytes(zipped), 10)}`;
  console.log(`${path.basename(file).padEnd(12)}${sizes}   ${heaviest(output)}`);
}
