import { totalmem } from 'node:os';
import { clientCertificateOf } from '../../secrets-manager/auth-configuration.ts';
import { actingWith } from '../../vault/acting-with.ts';
import { VaultClient } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { revokeSelf } from '../../vault/tokens.ts';
import { createTransport } from '../../vault/transport.ts';
import { judgeCache, judgeCacheMetrics } from './cache.ts';
import { checksFor } from './checks.ts';
import {
  examineLeases,
  examineNamespace,
  examineSecrets,
  type Histories,
  tellOfNoPaths,
} from './examine-access.ts';
import { examineConnection, examineServer, type Way } from './examine-connection.ts';
import { examineLogin, examineToken, type Identity, readTokenFile } from './examine-identity.ts';
import { examineLeasekeeper } from './examine-leasekeeper.ts';
import { type Finding, notLookedAt } from './finding.ts';
import type { DoctorRequest, Tell } from './request.ts';
import { claimsIn, type TokenFile } from './service-account-token.ts';

/**
 * Looks at every point, in order, and stops asking Vault where a point that the others rest on is wrong. It changes nothing, but for a
 * token of its own, which it ends, and with `issue` a lease, which it ends. `now` in milliseconds since the epoch.
 */
export async function examine(request: DoctorRequest, now: () => number): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  const tell: Tell = (...findings) => found.push(...findings);
  const { histories, fault } = await examineVault(request, now, tell);
  tellOfNoPaths(request, tell);
  tell(judgeCacheOf(request, histories), judgeCacheMetrics());
  const last = found.findLast(({ verdict, id }) => verdict === 'wrong' && id !== 'cache');
  const ground = fault ?? (last === undefined ? 'it was not come to' : `see "${last.title}"`);
  return checksFor(request).map(
    (check) => found.find(({ id }) => id === check.id) ?? notLookedAt(check, ground),
  );
}

interface Examined {
  readonly histories: Histories;
  /** Of Vault, in the middle of it: what was to come was not looked at. */
  readonly fault?: string;
}

async function examineVault(request: DoctorRequest, now: () => number, tell: Tell): Promise<Examined> {
  const file = await readTokenFile(request);
  const way = await examineConnection(request, ownNamespaceIn(file), now, tell);
  if (way === undefined) return { histories: [] };
  const client = clientFor(request, way, now);
  try {
    if (!(await examineServer(client, way, now, tell))) return { histories: [] };
    return { histories: await examineService(request, client, file, tell) };
  } catch (error) {
    if (!isVaultError(error)) throw error;
    return { histories: [], fault: error.message };
  } finally {
    await client.close();
  }
}

async function examineService(
  request: DoctorRequest,
  client: VaultClient,
  file: TokenFile,
  tell: Tell,
): Promise<Histories> {
  const { operatorToken } = request;
  const operator = operatorToken === undefined ? undefined : actingWith(client, operatorToken);
  const login = await examineLogin(request, client, operator, file, tell);
  if (login === undefined) return [];
  const identity = await examineToken(request, client, operator, login, tell);
  try {
    const access = await examineNamespace(request, identity, operator, tell);
    if (access === undefined) return [];
    const histories = await examineSecrets(access, tell);
    await examineLeases(access, tell);
    await examineLeasekeeper(access, tell);
    return histories;
  } finally {
    await leave(request, identity);
  }
}

/** Ends the token that was made for this; one that may not end itself does so at its TTL. */
async function leave({ configuration }: DoctorRequest, { vault, isOurs }: Identity): Promise<void> {
  if (!isOurs) return;
  try {
    await revokeSelf(vault, configuration.authNamespace);
  } catch (error) {
    if (!isVaultError(error)) throw error;
  }
}

function clientFor({ configuration }: DoctorRequest, { target, ca }: Way, now: () => number): VaultClient {
  const clientCertificate = clientCertificateOf(configuration);
  const transport = createTransport({
    address: target.origin,
    connections: 2,
    ...(ca === undefined ? {} : { ca }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
  });
  return new VaultClient({ transport, now, retry: { attempts: 2 } });
}

function judgeCacheOf({ configuration, secrets }: DoctorRequest, histories: Histories): Finding {
  const { cacheTtlMs, staleMs, maxEntries } = configuration;
  // Without a limit Node gives a number larger than any memory.
  const memoryBytes = Math.min(process.constrainedMemory() || totalmem(), totalmem());
  return judgeCache({ cacheTtlMs, staleMs, maxEntries, paths: secrets.length, histories, memoryBytes });
}

function ownNamespaceIn({ content }: TokenFile): string | undefined {
  const claims = 'code' in content ? undefined : claimsIn(content.text.trim());
  return typeof claims === 'object' ? claims.namespace : undefined;
}
