/**
 * A process of its own that runs both servers until it is ended: `node run-servers.ts <folder> <bao> <binaries as JSON>`.
 * Prints one line of JSON when they are up. Killing it must end them.
 */
import path from 'node:path';
import * as z from 'zod';
import { startOpenBao } from '../../lib/host/local/openbao.ts';
import { startPostgres } from '../../lib/host/local/postgres.ts';

const binariesSchema = z.object({ initdb: z.string(), postgres: z.string(), major: z.number() });
const [folder, binary, binariesJson] = z
  .tuple([z.string(), z.string(), z.string()])
  .parse(process.argv.slice(2));
const binaries = binariesSchema.parse(JSON.parse(binariesJson));

const [openbao, postgres] = await Promise.all([
  startOpenBao({ binary, dataDir: path.join(folder, 'openbao') }),
  startPostgres({ binaries, dataDir: path.join(folder, 'postgres'), fsync: false }),
]);
console.log(JSON.stringify({ openbao: openbao.pid, postgres: postgres.pid }));
// Longer than any test.
setTimeout(() => undefined, 3_600_000);
