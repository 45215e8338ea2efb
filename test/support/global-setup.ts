import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { startOpenBao } from '../../lib/host/local/openbao.ts';
import { findOpenBao } from '../../lib/host/local/openbao-binary.ts';
import { startPostgres } from '../../lib/host/local/postgres.ts';
import { findPostgres } from '../../lib/host/local/postgres-binaries.ts';
import type { PostgresBinaries } from '../../lib/host/local/postgres-folder.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The OpenBao all integration tests share. */
    openbao: { address: string; rootToken: string };
    /** The PostgreSQL all integration tests share, and its superuser. */
    postgres: { host: string; port: number; user: string; password: string; database: string };
    /** For tests that start servers of their own. */
    binaries: { openbao: string; postgres: PostgresBinaries };
  }
}

/** Starts one OpenBao and one PostgreSQL for the whole run; the function it returns ends them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const report = (line: string) => console.log(line);
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-test-'));
  // Run by root, PostgreSQL is another user, who must get to its folder.
  await chmod(folder, 0o711);
  const started: { stop(): Promise<void> }[] = [];
  const end = async () => {
    await Promise.all(started.map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  const keep = <Server extends { stop(): Promise<void> }>(server: Server): Server => {
    started.push(server);
    return server;
  };
  const openbao = findOpenBao(process.env, report).then(async (binary) => {
    const { address, rootToken } = keep(
      await startOpenBao({ binary, dataDir: path.join(folder, 'openbao') }),
    );
    project.provide('openbao', { address, rootToken });
    return binary;
  });
  const postgres = findPostgres(process.env, report).then(async (binaries) => {
    const dataDir = path.join(folder, 'postgres');
    const { host, port, user, password, database } = keep(
      await startPostgres({ binaries, dataDir, fsync: false }),
    );
    project.provide('postgres', { host, port, user, password, database });
    return binaries;
  });
  // Both are waited for whatever happens, so that a failure of one ends the other too.
  await Promise.allSettled([openbao, postgres]);
  try {
    project.provide('binaries', { openbao: await openbao, postgres: await postgres });
  } catch (error) {
    await end();
    throw error;
  }
  return end;
}
