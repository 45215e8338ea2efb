/**
 * Bundles each function for AWS Lambda by itself: `node scripts/bundle.mjs [--outdir <folder>] [--sizes <file>] [<entry>…]`. Without
 * arguments functions/*.ts go to dist/bundles/, where serverless.yml takes them from. Plain JavaScript that Node 20 runs.
 *
 * A function has a folder of its own: index.mjs with its handler and what that imports, and beside it what is loaded only when it is
 * needed, by `import()`. With `--sizes` the bytes of both are written to a file; bench/bundle-sizes.json is what tests compare with.
 *
 * A source map is written beside each file and linked, without the sources. It is larger than the code, so it is
 * not deployed: a stack trace is read with it here.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { lean } from './bundle-parts.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** What CommonJS packages ask for in a module: `require` of Node's own parts. */
const REQUIRE =
  "import{createRequire as bundleRequire}from'node:module';const require=bundleRequire(import.meta.url);";

/**
 * @param {string} entry
 * @param {string} outdir
 */
async function bundle(entry, outdir) {
  // Names of what is loaded later have a hash in them: of another build none may stay and be deployed.
  rmSync(outdir, { recursive: true, force: true });
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [{ in: entry, out: 'index' }],
    outdir,
    chunkNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
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
    // As Node's own build of undici, without its experimental parser (undici/lib/dispatcher/client-h1.js).
    define: { esbuildDetection: 'true' },
    // An optional native part of pg, asked for only by who uses it.
    external: ['pg-native'],
    plugins: [lean],
    metafile: true,
    write: true,
    logLevel: 'warning',
  });
  refuseNameless(metafile);
  return metafile;
}

/**
 * A package in CommonJS that is loaded by `import()` has only a default export here, where Node finds its names too: it would load, and
 * not work.
 * @param {import('esbuild').Metafile} metafile
 */
function refuseNameless({ inputs }) {
  for (const [file, { imports }] of Object.entries(inputs)) {
    for (const { kind, path: loaded } of /^(lib|functions)\//.test(file) ? imports : []) {
      if (kind === 'dynamic-import' && inputs[loaded]?.format === 'cjs') {
        throw new Error(`${file} loads ${loaded} by import(): import it in a file beside, and load that.`);
      }
    }
  }
}

/**
 * The files that are loaded with the first one, and all that it may come to.
 * @param {import('esbuild').Metafile['outputs']} outputs
 */
function partsOf(outputs) {
  const first = Object.keys(outputs).filter((file) => path.basename(file) === 'index.mjs');
  const from = (/** @type {readonly string[]} */ ...kinds) => {
    const found = new Set(first);
    for (const file of found) {
      const imported = outputs[file].imports.filter(
        ({ kind, external }) => kinds.includes(kind) && !external,
      );
      for (const { path: each } of imported) found.add(each);
    }
    return [...found];
  };
  return { start: from('import-statement'), all: from('import-statement', 'dynamic-import', 'file-loader') };
}

/**
 * esbuild writes every file that some `import()` names, also where what has the `import()` is left out.
 * @param {import('esbuild').Metafile['outputs']} outputs
 * @param {readonly string[]} wanted
 */
function removeOthers(outputs, wanted) {
  const kept = new Set(wanted.flatMap((file) => [file, `${file}.map`]));
  for (const file of Object.keys(outputs)) {
    if (!kept.has(file)) rmSync(path.resolve(root, file));
  }
}

/** The packages that weigh most at the start, in kB. @param {import('esbuild').Metafile['outputs'][string][]} outputs */
function heaviest(outputs) {
  /** @type {Map<string, number>} */
  const weights = new Map();
  for (const [file, { bytesInOutput }] of outputs.flatMap(({ inputs }) => Object.entries(inputs))) {
    const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1] ?? 'own';
    weights.set(name, (weights.get(name) ?? 0) + bytesInOutput);
  }
  const first = [...weights].sort(([, a], [, b]) => b - a).slice(0, 5);
  return first.map(([name, bytes]) => `${name} ${kilobytes(bytes)}`).join(', ');
}

const kilobytes = (/** @type {number} */ bytes) => Math.round(bytes / 1_000);
const pad = (/** @type {number} */ value, /** @type {number} */ width) => String(value).padStart(width);

const { values, positionals } = parseArgs({
  options: { outdir: { type: 'string' }, sizes: { type: 'string' } },
  allowPositionals: true,
});
const outdir = values.outdir ?? path.join(root, 'dist/bundles');
const functions = readdirSync(path.join(root, 'functions')).filter((file) => file.endsWith('.ts'));
const entries = positionals.length > 0 ? positionals : functions.map((file) => `functions/${file}`);
// A function that is gone must not stay behind and be deployed. A folder that was named may hold other things.
if (values.outdir === undefined) rmSync(outdir, { recursive: true, force: true });

/** @type {Record<string, {start: number, total: number}>} */
const sizes = {};
console.log('bundle      start kB   gzip kB   total kB   heaviest parts at the start (kB)');
for (const entry of entries) {
  const name = path.basename(entry, path.extname(entry));
  const { outputs } = await bundle(entry, path.resolve(outdir, name));
  const { start, all } = partsOf(outputs);
  removeOthers(outputs, all);
  const bytes = (/** @type {string[]} */ files) => files.reduce((sum, file) => sum + outputs[file].bytes, 0);
  sizes[name] = { start: bytes(start), total: bytes(all) };
  const zipped = start.reduce(
    (sum, file) => sum + gzipSync(readFileSync(path.resolve(root, file))).length,
    0,
  );
  const columns = `${pad(kilobytes(bytes(start)), 9)}${pad(kilobytes(zipped), 10)}${pad(kilobytes(bytes(all)), 11)}`;
  console.log(`${name.padEnd(11)}${columns}   ${heaviest(start.map((file) => outputs[file]))}`);
}
if (values.sizes !== undefined) writeFileSync(values.sizes, `${JSON.stringify(sizes, null, 2)}\n`);
