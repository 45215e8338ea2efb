import { approleSecretIdCase } from './approle-secret-id.ts';
import { databaseRootCase } from './database-root.ts';
import { databaseStaticCase } from './database-static.ts';
import { generatedCase } from './generated.ts';
import { httpApiKeyCase } from './http-api-key.ts';
import type { KindCase } from './kind-case.ts';
import { leaseCase } from './lease.ts';
import { manualCase } from './manual.ts';
import { pkiCase } from './pki.ts';
import { transitKeyCase } from './transit-key.ts';

/** One case for each kind of managed secret; a test sees to it that none is missing. */
export const kindCases: readonly KindCase[] = [
  leaseCase,
  databaseStaticCase,
  databaseRootCase,
  generatedCase,
  httpApiKeyCase,
  pkiCase,
  approleSecretIdCase,
  transitKeyCase,
  manualCase,
];
