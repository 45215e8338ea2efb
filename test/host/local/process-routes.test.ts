import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { routed } from '../../../lib/host/http-function.ts';
import { type HttpServer, startHttpServer } from '../../../lib/host/local/http-server.ts';
import { localContext } from '../../../lib/host/local/lambda-invocation.ts';
import { type Health, processRoutes } from '../../../lib/host/local/process-routes.ts';

const INTERVAL_MS = 60_000;
const NOW = 10_000_000_000;
const well: Health = { scannedAt: NOW, failing: false, triedAt: NOW, stopping: false };
const health = { ...well };
const statusIn = z.object({ status: z.string() });
let server: HttpServer;

beforeAll(async () => {
  const metrics = { text: () => Promise.resolve(''), contentType: 'text/plain' };
  const routes = routed(processRoutes({ health, scanIntervalMs: INTERVAL_MS, now: () => NOW, metrics }));
  const handler = (event: Parameters<typeof routes>[0]) => routes(event, localContext('test'));
  server = await startHttpServer({ host: '127.0.0.1', port: 0 }, [{ prefix: '', handler }]);
});
afterAll(() => server.close());

async function answerAt(path: string, state: Health): Promise<string> {
  Object.assign(health, state);
  const answer = await fetch(`${server.address}${path}`);
  return `${answer.status} ${statusIn.parse(await answer.json()).status}`;
}

describe('whether the process should be left running', () => {
  it.each<[string, Partial<Health>, string]>([
    ['scans succeed', {}, '200 ok'],
    [
      'scans have failed for a week, because Vault is sealed',
      { scannedAt: NOW - 604_800_000, failing: true },
      '200 ok',
    ],
    ['no scan has succeeded since the start', { scannedAt: 0, failing: true }, '200 ok'],
    ['a scan is taking minutes', { triedAt: NOW - 300_000 }, '200 ok'],
    ['no scan has ended for longer than any takes', { triedAt: NOW - 780_000 }, '503 stuck'],
    ['it is told to end', { stopping: true }, '200 ok'],
  ])('%s', async (_, changes, answer) => {
    expect(await answerAt('/livez', { ...well, ...changes })).toBe(answer);
  });
});

describe('whether callers should be sent here', () => {
  it.each<[string, Partial<Health>, string]>([
    ['scans succeed', {}, '200 ok'],
    ['no scan has succeeded yet', { scannedAt: 0 }, '503 starting'],
    ['scans fail that have succeeded once', { scannedAt: NOW - 604_800_000, failing: true }, '200 ok'],
    ['it is told to end', { stopping: true }, '503 stopping'],
  ])('%s', async (_, changes, answer) => {
    expect(await answerAt('/readyz', { ...well, ...changes })).toBe(answer);
  });
});

describe('whether scans succeed', () => {
  it.each<[string, Partial<Health>, string]>([
    ['they do', {}, '200 ok'],
    ['the last one failed', { failing: true }, '503 failing'],
    ['none has for three intervals', { scannedAt: NOW - 190_000 }, '503 failing'],
  ])('%s', async (_, changes, answer) => {
    expect(await answerAt('/healthz', { ...well, ...changes })).toBe(answer);
  });
});
