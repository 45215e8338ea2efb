import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Environment } from './cache-folder.ts';
import type { Account } from './run-command.ts';
import { LocalServerError } from './server-error.ts';

/** What to start, and how it is to be ended. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the server. Nothing of ours is inherited: a stray VAULT_ or PG variable would steer it. */
  readonly env: Environment;
  readonly cwd?: string;
  readonly account?: Account | undefined;
  /** Receives what the server prints; emptied on start, mode 0600. */
  readonly logFile: string;
  /** The signal that asks for an orderly end; SIGKILL follows after `stopWithinMs`. */
  readonly stopSignal: 'SIGTERM' | 'SIGINT';
  readonly stopWithinMs: number;
}

/** A running server. */
export interface ServerChild {
  readonly pid: number;
  /** Fulfilled with a short description when the process has ended, for whatever reason. Never rejected. */
  readonly exited: Promise<string>;
  hasExited(): boolean;
  /** Ends the server and waits for it. May be called again. */
  stop(): Promise<void>;
}

/**
 * Becomes the server by exec, after leaving a watchdog behind that holds the other end of our pipe. The kernel closes
 * the pipe when this process dies, even by SIGKILL; the watchdog reads end-of-file and ends the server. A line on the
 * pipe tells it that the server has ended. It is forked twice, so that the server has no child it does not know:
 * PostgreSQL takes an unknown child's death for a crash. $1 signal, $2 seconds until SIGKILL, then the command.
 */
const WATCHDOG = `
exec 4<&0
server=$$ signal=$1 patience=$2
shift 2
( {
  read -r line <&4 && exit 0
  kill -s "$signal" "$server"
  while kill -0 "$server" && [ "$patience" -gt 0 ]; do patience=$((patience - 1)); sleep 1; done
  kill -s KILL "$server"
} >/dev/null 2>&1 & )
exec "$@" </dev/null 4<&-
`;

/**
 * Starts a server that cannot outlive this process. It runs in its own session, so that Ctrl-C in a terminal reaches
 * only us and we end the servers in order. Throws `server_start_failed` if it could not be started at all.
 */
export async function startServer(options: ServerCommand): Promise<ServerChild> {
  const log = await open(options.logFile, 'w', 0o600);
  try {
    const seconds = String(Math.ceil(options.stopWithinMs / 1000));
    const signal = options.stopSignal.replace('SIG', '');
    const child = spawn(
      '/bin/sh',
      ['-c', WATCHDOG, 'sh', signal, seconds, options.command, ...options.args],
      {
        env: { ...options.env },
        detached: true,
        stdio: ['pipe', log.fd, log.fd],
        ...(options.cwd && { cwd: options.cwd }),
        ...options.account,
      },
    );
    return await supervise(child, options);
  } finally {
    await log.close();
  }
}

async function supervise(child: ChildProcess, options: ServerCommand): Promise<ServerChild> {
  const ended = Promise.withResolvers<string>();
  let running = true;
  const started = new Promise<number>((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid ?? 0));
    child.once('error', (error) => reject(startFailed(options.command, error)));
  });
  child.once('exit', (code, signal) => {
    running = false;
    child.stdin?.end('ended\n');
    ended.resolve(signal ? `ended by ${signal}` : `exit code ${code}`);
  });
  // The watchdog may be gone before we tell it; nothing is lost then.
  child.stdin?.on('error', () => undefined);
  const pid = await started;
  // A server alone must not keep this process alive: when nothing else does, it ends, and the watchdog ends the server.
  child.unref();
  if (child.stdin instanceof Socket) child.stdin.unref();
  return {
    pid,
    exited: ended.promise,
    hasExited: () => !running,
    stop: async () => {
      if (!running) return;
      child.ref();
      child.kill(options.stopSignal);
      const patience = new AbortController();
      const late = sleep(options.stopWithinMs, 'late', { signal: patience.signal }).catch(() => 'ended');
      if ((await Promise.race([ended.promise, late])) === 'late') child.kill('SIGKILL');
      patience.abort();
      await ended.promise;
    },
  };
}

function startFailed(command: string, cause: Error): LocalServerError {
  return new LocalServerError('server_start_failed', `${command} could not be started.`, { cause });
}
