import { homedir } from 'node:os';
import path from 'node:path';

/** The environment variables a function of this room may be given; the host passes `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The folder that keeps downloaded servers between starts: LEASEKEEPER_CACHE_DIR, else `leasekeeper` in the XDG cache
 * folder. XDG's own rule is followed: a relative XDG_CACHE_HOME is ignored.
 */
export function cacheFolder(env: Environment): string {
  if (env.LEASEKEEPER_CACHE_DIR) return path.resolve(env.LEASEKEEPER_CACHE_DIR);
  const xdg = env.XDG_CACHE_HOME;
  const base = xdg && path.isAbsolute(xdg) ? xdg : path.join(env.HOME || homedir(), '.cache');
  return path.join(base, 'leasekeeper');
}
