import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { codeOf } from '../../errors.ts';
import type { VaultClient } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { readHealth, readLeader, readSealStatus } from '../../vault/health.ts';
import { judgeAddress, type Target } from './address.ts';
import { type CaFile, judgeCaFile, judgePlain, judgeTls } from './certificate.ts';
import { judgeConnection, judgeResolution } from './network.ts';
import { type ProbeTarget, resolveName, tryPlainHttp, tryTcp, tryTls } from './network-probe.ts';
import type { DoctorRequest, Tell } from './request.ts';
import { judgeClock, judgeHealth, judgeNoHealth } from './server.ts';

const TIMEOUT_MS = 3_000;
const DEFAULT_ADDRESS = 'http://vault.lotabots.svc:8200';

/** What the way to Vault is made of, once it is known to work. */
export interface Way {
  readonly target: Target;
  /** PEM; undefined: the public authorities. */
  readonly ca: string | undefined;
}

/** From VAULT_ADDR to a trusted connection. Undefined when there is none. `now` in milliseconds since the epoch. */
export async function examineConnection(
  request: DoctorRequest,
  ownNamespace: string | undefined,
  now: () => number,
  tell: Tell,
): Promise<Way | undefined> {
  const { finding, target } = judgeAddress(request.address, DEFAULT_ADDRESS);
  tell(finding);
  if (target === undefined) return undefined;
  const ca = await readCa(request.configuration.caCertFile);
  const caFinding = judgeCaFile(ca, target.secure, now());
  tell(caFinding);
  const literal = isIP(target.hostname) !== 0;
  const resolution = literal ? { addresses: [target.hostname] } : await resolveName(target.hostname);
  tell(judgeResolution(target.hostname, resolution));
  if ('code' in resolution) return undefined;
  const probe: ProbeTarget = { ...target, timeoutMs: TIMEOUT_MS };
  const failed = await tryTcp(probe);
  tell(judgeConnection(target, failed, ownNamespace));
  if (failed !== undefined) return undefined;
  // SecretsManager reads the file whatever the scheme is, and would not start without it.
  const pem = ca !== undefined && 'text' in ca ? ca.text : undefined;
  if (target.secure && caFinding.verdict === 'wrong') return undefined;
  return (await examineTls(target, probe, ca?.file, pem, now, tell)) ? { target, ca: pem } : undefined;
}

async function examineTls(
  target: Target,
  probe: ProbeTarget,
  caFile: string | undefined,
  pem: string | undefined,
  now: () => number,
  tell: Tell,
): Promise<boolean> {
  if (!target.secure) {
    const plain = await tryPlainHttp(probe);
    const finding = judgePlain(target, plain, plain === 'none' ? await tryTls(probe, pem) : undefined);
    tell(finding);
    return finding.verdict === 'fine';
  }
  const shown = await tryTls(probe, pem);
  const plain = 'code' in shown ? await tryPlainHttp(probe) : undefined;
  const finding = judgeTls({ target, caFile, shown, plain, now: now() });
  tell(finding);
  return finding.verdict === 'fine';
}

async function readCa(file: string | undefined): Promise<CaFile | undefined> {
  if (file === undefined) return undefined;
  try {
    return { file, text: await readFile(file, 'utf8') };
  } catch (error) {
    return { file, code: codeOf(error) };
  }
}

/** The server itself, and the two clocks. False when nothing more can be asked of it. */
export async function examineServer(
  client: VaultClient,
  { target }: Way,
  now: () => number,
  tell: Tell,
): Promise<boolean> {
  try {
    const health = await readHealth(client);
    const finding = judgeHealth(health, {
      leader: health.standby && !health.sealed ? await ifTold(() => readLeader(client)) : undefined,
      seal: health.sealed ? await ifTold(() => readSealStatus(client)) : undefined,
    });
    tell(finding, judgeClock(client.now() - now()));
    return finding.verdict === 'fine';
  } catch (error) {
    if (!isVaultError(error)) throw error;
    tell(judgeNoHealth(error, target.origin));
    return false;
  }
}

/** Undefined when it does not say. */
async function ifTold<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (isVaultError(error)) return undefined;
    throw error;
  }
}
