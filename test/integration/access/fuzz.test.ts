import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import type { FunctionName } from '../../../lib/host/identities.ts';
import { type OneProcess, startOneProcess } from '../../../lib/host/local/one-process.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { renderPolicy } from '../../../lib/host/setup/render-policy.ts';
import { createSigningSecret } from '../../../lib/notices/signature.ts';
import { createLogger } from '../../../lib/telemetry/log.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { tokenAuth } from '../../../lib/vault/auth/token.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { hostOn } from '../../support/host-on.ts';
import { type PythonProgram, pythonEnvironment } from '../../support/python-environment.ts';
import type { PythonMissing } from '../../support/python-package.ts';
import { until } from '../../support/until.ts';
import { leaseSpecification, openWorld } from '../../support/world.ts';
import { type AccessWorld, createAccessWorld, createToken } from './access-world.ts';

/** Schemathesis (https://schemathesis.io) and a validator of OpenAPI, from PyPI. */
const TOOLS = {
  file: 'schemathesis.requirements.txt',
  oldestPython: [3, 11],
  modules: ['schemathesis', 'openapi_spec_validator'],
} as const;
const RUN = 'from schemathesis.cli import schemathesis; schemathesis()';
const VALIDATE = `
import json, sys
from openapi_spec_validator import OpenAPIV31SpecValidator
document = json.load(open(sys.argv[1]))
print(json.dumps([error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]))
`;
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_schema_conformance',
  'response_headers_conformance',
  'unsupported_method',
];
/** `FUZZ=2000` makes a long run of it. */
const LONG = process.env.FUZZ !== undefined;
const EXAMPLES = process.env.FUZZ ?? '4';
const LONGEST_RUN_MS = LONG ? 3_600_000 : 60_000;
/** In Vault, where the callers may not read. */
const CANARY = 'canary-of-nobody';
/** That of the examples. */
const SUBSCRIPTION = 'api-gateway:01KAM5Q8W3Y6Z2T4R7N9P0B1CD';
const root = path.resolve(import.meta.dirname, '../../..');

let world: AccessWorld;
let host: OneProcess;
let folder: string;
let found: PythonProgram | PythonMissing;
let python: PythonProgram;
const log: string[] = [];
/** Those of the callers, and of the functions. */
const tokens: string[] = [];

/** What notices and rotations are made of is invented here: nothing is sent anywhere. */
const NOT_AT_WORK: readonly FunctionName[] = ['rotate', 'notify'];

beforeAll(async () => {
  found = await pythonEnvironment(TOOLS, process.env);
  world = await createAccessWorld();
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-fuzz-'));
  await prepare();
  const tokenOf = (name: FunctionName) => {
    if (name === 'fetch' || name === 'manage') return world.identities[name];
    return NOT_AT_WORK.includes(name) ? 'none' : world.rootToken;
  };
  tokens.push(world.identities.fetch, world.identities.manage);
  host = await startOneProcess({
    ...hostOn(
      { ...world, rootToken: 'none' },
      {
        LEASEKEEPER_SCAN_INTERVAL: '3600',
        LEASEKEEPER_CALLER_RATE: '10000',
        LEASEKEEPER_CALLER_BURST: '10000',
      },
    ),
    logger: createLogger({
      level: 'trace',
      name: 'test',
      destination: { write: (line) => void log.push(line) },
    }),
    identityOf: (name) => tokenAuth(new Secret(tokenOf(name))),
  });
  await until(async () => (await fetch(`${host.address}/healthz`)).ok);
}, 300_000);
afterAll(async () => {
  await host.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(({ skip }) => {
  if ('missing' in found) skip(`not tried, ${found.missing}`);
  else python = found;
});

/** What the examples of the description name, so that what they ask for is done; and what nobody may read. */
async function prepare(): Promise<void> {
  const { request } = admin(inject);
  const { namespace, stateMount } = world;
  await request('POST', `sys/mounts/${namespace}/nvidia`, { type: 'kv', options: { version: '2' } });
  await request('POST', `${namespace}/nvidia/data/api-key`, { data: { api_key: 'plain' } });
  await request('POST', `${namespace}/app/data/closed`, { data: { word: CANARY } });
  await request('POST', `${namespace}/database/roles/api-gateway`, {
    db_name: 'pg',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
    default_ttl: '1h',
  });
  const opened = openWorld(world);
  await opened.secrets.apply(leaseSpecification(world, { name: 'api-gateway-database' }));
  await opened.close();
  const document = { url: 'https://hooks.example.com/', types: ['*'], names: ['*'], created: Date.now() };
  const secrets = [{ secret: createSigningSecret(randomBytes) }];
  await request('POST', `${stateMount}/data/subscriptions/${SUBSCRIPTION.replace(':', '/')}`, {
    data: { id: SUBSCRIPTION, ...document, secrets },
    options: { cas: 0 },
  });
}

/** A caller that may do what a consumer and an operator may, but for one thing: the subscription of the examples is to stay. */
async function createCaller(): Promise<string> {
  const templates = await readPolicyTemplates();
  const { namespace, stateMount: state } = world;
  const values = { namespace, state, consumer: 'api-gateway' };
  const rules = [
    renderPolicy(templates['leasekeeper-consumer'], values),
    renderPolicy(templates['leasekeeper-operator'], values),
    `path "${namespace}/nvidia/*" { capabilities = ["read"] }`,
    `path "${namespace}/database/creds/api-gateway" { capabilities = ["read"] }`,
    `path "${state}/metadata/subscriptions/${SUBSCRIPTION.replace(':', '/')}" { capabilities = ["deny"] }`,
  ];
  const policies = rules.map(() => uniqueName('policy'));
  for (const [index, policy] of rules.entries()) {
    await admin(inject).request('PUT', `sys/policies/acl/${policies[index]}`, { policy });
  }
  return createToken([world.appPolicy, ...policies]);
}

/** Every operation of the description, with what it allows and with what it does not; gives what the tool printed and saw. */
async function fuzzAs(
  token: string,
  ...which: readonly string[]
): Promise<{ code: number; told: string; seen: string }> {
  // Not as an argument, which would be printed.
  await writeFile(path.join(folder, 'schemathesis.toml'), `[headers]\nX-Vault-Token = "${token}"\n`);
  const cassette = path.join(folder, 'cassette.yaml');
  const { code, stdout, stderr } = await python(
    RUN,
    [
      ...['run', `${host.address}/openapi.json`, '--checks', CHECKS.join(',')],
      ...['--max-examples', EXAMPLES, '--seed', '1', ...which],
      // Of two, one now and then trips over the other in Python's parser.
      ...['--workers', '1', '--continue-on-failure', '--suppress-health-check', 'all', '--warnings', 'off'],
      ...['--report-vcr-path', cassette, '--report-preserve-bytes', '--no-color', '--no-shrink'],
    ],
    { timeoutMs: LONGEST_RUN_MS, cwd: folder },
  );
  return { code, told: `${stdout}\n${stderr}`, seen: await readFile(cassette, 'utf8').catch(() => '') };
}

describe('the description of the routes', () => {
  it('is a valid OpenAPI document', async () => {
    const { stdout, stderr } = await python(VALIDATE, [path.join(root, 'docs/openapi.json')], {
      timeoutMs: 60_000,
    });
    expect(stdout, stderr).toBe('[]\n');
  });

  it(
    'holds for whatever a caller sends, and nothing leaks',
    async () => {
      const token = await createCaller();
      tokens.push(token);
      // To make up a specification of any kind takes longer than all the rest.
      const which = LONG
        ? ['--phases', 'examples,coverage,fuzzing']
        : ['--phases', 'examples,fuzzing', '--exclude-operation-id', 'applyManaged'];
      const { code, told, seen } = await fuzzAs(token, ...which);
      if (LONG) console.log(told);
      expect(code, told).toBe(0);
      const answers = seen + bodiesIn(seen);
      // Something was answered, and something is in the log.
      for (const done of ['"username":', '"api_key":', '"secret":"whsec_', '"replayed":', '"phase":'])
        expect(answers).toContain(done);
      expect(log.filter((line) => line.includes('"audit":true')).length).toBeGreaterThan(100);
      expect(answers).not.toContain(CANARY);
      for (const text of [CANARY, ...tokens]) expect(log.join('')).not.toContain(text);
    },
    LONGEST_RUN_MS + 30_000,
  );

  it('holds at the edges of what the routes of leases take, and for methods that they do not', async () => {
    const { code, told, seen } = await fuzzAs(
      await createCaller(),
      ...['--phases', 'coverage', '--include-tag', 'leases'],
    );
    expect(code, told).toBe(0);
    expect(bodiesIn(seen)).toContain('"method_not_allowed"');
    expect(seen + bodiesIn(seen)).not.toContain(CANARY);
  }, 90_000);
});

/** The bodies of a cassette, decoded. */
function bodiesIn(cassette: string): string {
  const encoded = [...cassette.matchAll(/base64_string: ['"]?([A-Za-z0-9+/=]+)/g)].map(
    ([, text = '']) => text,
  );
  return encoded.map((text) => Buffer.from(text, 'base64').toString()).join('\n');
}
