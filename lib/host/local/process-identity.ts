import { readFile } from 'node:fs/promises';
import { runCommand } from './run-command.ts';

/**
 * A process id together with a mark of when that process started. Ids are reused, after a reboot almost surely: only
 * both together say whether it is still the same process.
 */
export interface ProcessIdentity {
  readonly pid: number;
  readonly started: string;
}

/** The identity of a running process, or undefined if there is none with this id (a zombie counts as none). */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const started = process.platform === 'linux' ? await startOnLinux(pid) : await startByPs(pid);
  return started === undefined ? undefined : { pid, started };
}

/** Whether this very process is still running. */
export async function isRunning(identity: ProcessIdentity): Promise<boolean> {
  return (await identify(identity.pid))?.started === identity.started;
}

/** Boot id and start time in clock ticks (field 22 of proc(5) stat; the name in field 2 may hold spaces and brackets). */
async function startOnLinux(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, ticks] = [fields[0], fields[19]];
  if (state === 'Z' || state === 'X' || ticks === undefined) return undefined;
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return `${boot.trim()}/${ticks}`;
}

async function startByPs(pid: number): Promise<string | undefined> {
  const { code, stdout } = await runCommand('ps', ['-o', 'lstart=,stat=', '-p', String(pid)]);
  const line = stdout.trim();
  if (code !== 0 || line === '' || /\sZ\S*$/.test(line)) return undefined;
  return line.replace(/\s+\S+$/, '');
}
