/**
 * The way in from a fresh clone: `node scripts/bootstrap.mjs start|test|<any command of the CLI>`. Installs the pinned
 * dependencies if they are missing or other than package-lock.json says, then runs the project under a recent Node.
 * Plain JavaScript that Node 20 runs, with no dependency.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const OLDEST_MAJOR = 20;

/**
 * Returns the exit code.
 * @param {string[]} args
 * @returns {Promise<number>}
 */
export async function bootstrap(args) {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_MAJOR) {
    console.error(
      `Leasekeeper needs Node ${OLDEST_MAJOR} or newer to start; this is ${process.versions.node}.`,
    );
    return 1;
  }
  const { findNode, runToEnd, tooOld } = await import('../bin/node-runtime.mjs');
  let installed = false;
  // A download of the optional Node that failed leaves no trace but its absence, so it is tried once more.
  if (!isInstalled() || !findNode()) {
    installed = true;
    const code = install();
    if (code !== 0) return code;
  }
  const node = findNode();
  if (!node) {
    console.error(tooOld());
    return 1;
  }
  if (installed) console.error('Dependencies are installed.');
  const bin = path.join(root, 'node_modules/.bin');
  return runToEnd(node, command(args), {
    ...process.env,
    PATH: `${bin}${path.delimiter}${process.env.PATH ?? ''}`,
  });
}

/** @param {string[]} args */
function command(args) {
  const [first, ...rest] = args;
  if (first === 'test') return [path.join(root, 'scripts/check.ts'), ...rest];
  return [path.join(root, 'lib/cli/main.ts'), ...args];
}

/**
 * Whether node_modules holds what package-lock.json names, by the record npm keeps of what it installed (written last,
 * so a broken-off installation has none). Packages for other platforms may be missing, but not be of another version.
 */
function isInstalled() {
  const wanted = packagesOf('package-lock.json');
  const found = packagesOf('node_modules/.package-lock.json');
  if (!wanted || !found) return false;
  return Object.entries(wanted).every(([place, { version, optional, devOptional, link }]) => {
    if (place === '' || link) return true;
    const here = found[place];
    return here ? here.version === version : Boolean(optional || devOptional);
  });
}

/**
 * @param {string} file
 * @returns {Record<string, {version?: string, optional?: boolean, devOptional?: boolean, link?: boolean}> | undefined}
 */
function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** No dependency needs its install script, and npm 12 runs none: leaving them out is the same everywhere. */
function install() {
  console.error('Installing the pinned dependencies (about a minute on the first start)…');
  const args = [
    'ci',
    '--ignore-scripts',
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ];
  const npm = process.env.npm_execpath;
  const [program, ...first] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
  // npm's own output goes to the error stream: standard output belongs to the command (`--json`).
  const { status, error } = spawnSync(program, [...first, ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status === 0) return 0;
  const reason = error
    ? `npm could not be started (${error.message})`
    : 'npm ci failed; see its message above';
  console.error(`The dependencies could not be installed: ${reason}. Check the connection, then try again.`);
  return status ?? 1;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await bootstrap(process.argv.slice(2));
}
