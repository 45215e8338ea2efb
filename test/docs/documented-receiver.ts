import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { listening } from '../support/listening.ts';
import { until } from '../support/until.ts';
import { fencedBlocks, readProjectFile } from './documents.ts';

/** A page of docs/receivers whose code can be run here. */
export interface ReceiverPage {
  readonly page: string;
  readonly language: string;
  readonly file: string;
  readonly command: string;
}

export const pages: readonly ReceiverPage[] = [
  { page: 'typescript.md', language: 'ts', file: 'receiver.mts', command: process.execPath },
  { page: 'python.md', language: 'python', file: 'receiver.py', command: 'python3' },
];

/** Whether this machine has what runs the page's code. */
export function canRun({ command }: ReceiverPage): boolean {
  return spawnSync(command, ['--version']).status === 0;
}

export interface RunningReceiver extends AsyncDisposable {
  readonly url: string;
  /** What it has printed to its standard output, by lines. */
  readonly lines: readonly string[];
  /** Waits until it has printed this line. */
  printed(line: string): Promise<void>;
}

/** Runs the code of a page as a reader would, in a folder of its own. Everything that it is told comes by its environment. */
export async function runReceiver(
  { page, language, file, command }: ReceiverPage,
  env: Readonly<Record<string, string>>,
): Promise<RunningReceiver> {
  const folder = mkdtempSync(path.join(tmpdir(), 'leasekeeper-receiver-'));
  symlinkSync(path.resolve(import.meta.dirname, '../../node_modules'), path.join(folder, 'node_modules'));
  writeFileSync(
    path.join(folder, file),
    fencedBlocks(readProjectFile(`docs/receivers/${page}`), language)[0] ?? '',
  );
  const tokenFile = path.join(folder, 'token');
  writeFileSync(tokenFile, 'a-service-account-token\n');

  const child = spawn(command, [file], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, PORT: '0', TOKEN_FILE: tokenFile, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = linesOf(child);
  const dispose = async () => {
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
    child.kill('SIGKILL');
    await gone;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const port = () => lines.flatMap((line) => /^listening on (\d+)$/.exec(line)?.[1] ?? [])[0];
    await until(() => port() !== undefined || child.exitCode !== null);
    if (child.exitCode !== null) throw new Error(`${page}: its code ended with ${child.exitCode}`);
    return {
      url: `http://127.0.0.1:${port()}/`,
      lines,
      printed: (line) => until(() => lines.includes(line)),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function linesOf(child: ChildProcess): readonly string[] {
  const lines: string[] = [];
  let rest = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  return lines;
}

/** Leasekeeper's `GET /v1/secrets/{path}`, as far as a receiver asks it. */
export interface AskedLeasekeeper extends AsyncDisposable {
  readonly url: string;
  /** The current generation at each path. */
  readonly generations: Map<string, number>;
  /** Paths whose answer waits until they are taken out. */
  readonly held: Set<string>;
  /** What was asked for, in order: path and query; `denied` for a caller that did not say who it is. */
  readonly asked: readonly string[];
}

export async function askedLeasekeeper(): Promise<AskedLeasekeeper> {
  const generations = new Map<string, number>();
  const held = new Set<string>();
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    const { authorization, 'x-vault-role': role } = request.headers;
    const known = authorization === 'Bearer a-service-account-token' && role === 'api-gateway';
    asked.push(known ? (request.url ?? '') : 'denied');
    const name = (request.url ?? '').replace(/^\/v1\/secrets\/|\?.*$/g, '');
    await until(() => !held.has(name));
    const generation = generations.get(name);
    response.writeHead(known && generation !== undefined ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ data: { password: 'not-a-secret' }, version: generation, generation }));
  });
  const listener = await listening(server);
  return {
    url: `http://127.0.0.1:${listener.port}`,
    generations,
    held,
    asked,
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}
