import { copyFile, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { findOnPath, lastLines, runCommand } from '../../lib/host/local/run-command.ts';
import { fencedBlocks, readProjectFile } from '../docs/documents.ts';
import { type PythonProgram, pythonEnvironment } from '../support/python-environment.ts';
import type { PythonMissing } from '../support/python-package.ts';
import { CONTAINERFILE, KUSTOMIZATION, MANIFESTS, root, yamlIn } from './files.ts';

/** The schemas of Kubernetes with a validator, and checkov (https://www.checkov.io), from PyPI. */
const LINTERS = {
  file: 'manifest-linters.requirements.txt',
  oldestPython: [3, 11],
  modules: ['kubernetes_validate', 'checkov.version'],
} as const;
const VALIDATE = `
import json, sys, kubernetes_validate
def fault(document, version):
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return error.message
    except kubernetes_validate.SchemaNotFoundError:
        return f'There is no {document["kind"]} of {document["apiVersion"]} in {version}'
given = json.load(open(sys.argv[1]))
faults = [fault(document, version) for document in given for version in sys.argv[2:]]
print(json.dumps([fault for fault in faults if fault]))
`;
const CHECK = 'import sys; from checkov.main import Checkov; sys.exit(Checkov().run())';
/** From the first that has the pause of the deployment without a feature gate to the newest that the validator knows. */
const VERSIONS = ['1.30', '1.31', '1.32', '1.33', '1.34', '1.35', '1.36', '1.37'];

/** Rules that are not kept, and why. */
const EXCUSED = new Map([
  ['CKV_K8S_15', 'a node that has the image must be able to start it while the registry is away'],
  ['CKV_K8S_43', 'the digest is that of the image that its user builds'],
]);

const manifests = MANIFESTS.flatMap((file) => yamlIn(file).map((document) => ({ file, document })));
const deployment = readProjectFile('deploy/kubernetes/deployment.yaml');

const checkSchema = z.object({ check_id: z.string(), file_path: z.string() });
const reportSchema = z.object({
  results: z.object({ passed_checks: z.array(checkSchema), failed_checks: z.array(checkSchema) }),
});

let found: PythonProgram | PythonMissing;
let python: PythonProgram;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-manifests-'));
  found = await pythonEnvironment(LINTERS, process.env);
}, 600_000);
afterAll(() => rm(folder, { recursive: true }));
beforeEach(({ skip }) => {
  if ('missing' in found) skip(`not tried, ${found.missing}`);
  else python = found;
});

/** What the schemas of all versions say against documents. */
async function faultsIn(documents: readonly unknown[]): Promise<readonly string[]> {
  const file = path.join(folder, 'documents.json');
  await writeFile(file, JSON.stringify(documents));
  const { code, stdout, stderr } = await python(VALIDATE, [file, ...VERSIONS], { timeoutMs: 60_000 });
  if (code !== 0) throw new Error(`The validator ended with ${code}: ${lastLines(stderr)}`);
  return z.array(z.string()).parse(JSON.parse(stdout));
}

describe('the manifests, by the schemas of Kubernetes', () => {
  it('are of kinds and fields that all versions have', async () => {
    expect(await faultsIn(manifests.map(({ document }) => document))).toEqual([]);
  });

  it.each([
    ['a field that there is not', 'readinessProbe:', 'readynessProbe:', 'readynessProbe'],
    ['a value of another type', 'replicas: 2', "replicas: 'two'", 'integer'],
    ['a version that there is not', 'apiVersion: apps/v1', 'apiVersion: apps/v9', 'of apps/v9'],
  ])('would not get by with %s', async (_, right, wrong, said) => {
    expect(deployment).toContain(right);
    const faults = await faultsIn(yamlIn('broken', deployment.replace(right, wrong)));
    expect(faults).toHaveLength(VERSIONS.length);
    expect(faults[0]?.toLowerCase()).toContain(said.toLowerCase());
  });
});

describe('manifests and Containerfile, by the rules of checkov', () => {
  const broken: readonly (readonly [file: string, text: string, rule: string])[] = [
    ['root.yaml', deployment.replace('runAsNonRoot: true', '').replace(/runAsUser: .*/, ''), 'CKV_K8S_23'],
    ['writable.yaml', deployment.replace('readOnlyRootFilesystem: true', ''), 'CKV_K8S_22'],
    ['secrets.yaml', deployment.replace('drop: [ALL]', 'add: [SYS_ADMIN]'), 'CKV_K8S_39'],
    ['unlimited.yaml', deployment.replace('memory: 512Mi', ''), 'CKV_K8S_13'],
    ['unprobed.yaml', deployment.replace('livenessProbe:', 'startupProbe2:'), 'CKV_K8S_8'],
    ['token.yaml', deployment.replace('automountServiceAccountToken: false', ''), 'CKV_K8S_38'],
    ['Dockerfile', readProjectFile(CONTAINERFILE).replace(/^USER .*$/m, ''), 'CKV_DOCKER_3'],
  ];
  let passed: readonly z.infer<typeof checkSchema>[];
  let failed: readonly z.infer<typeof checkSchema>[];

  // All in one run, for most of its time is its start.
  beforeAll(async () => {
    if ('missing' in found) return;
    await Promise.all(['right', 'broken'].map((name) => mkdir(path.join(folder, name))));
    await Promise.all([
      ...[...MANIFESTS, CONTAINERFILE].map((file) =>
        copyFile(path.join(root, file), path.join(folder, 'right', path.basename(file))),
      ),
      ...broken.map(([file, text]) => writeFile(path.join(folder, 'broken', file), text)),
    ]);
    const what = ['-d', folder, '--framework', 'kubernetes', 'dockerfile'];
    const how = ['--output', 'json', '--compact', '--soft-fail', '--skip-download'];
    const { code, stdout, stderr } = await found(CHECK, [...what, ...how], {
      timeoutMs: 120_000,
      cwd: folder,
    });
    if (code !== 0) throw new Error(`checkov ended with ${code}: ${lastLines(stderr)}`);
    const reports = z.array(reportSchema).parse(JSON.parse(stdout));
    passed = reports.flatMap(({ results }) => results.passed_checks);
    failed = reports.flatMap(({ results }) => results.failed_checks);
  }, 180_000);

  const failedIn = (place: string) =>
    failed.flatMap(({ check_id, file_path }) => (file_path.startsWith(place) ? [check_id] : []));

  it('keep all of them but those that are excused', () => {
    expect(passed.filter(({ file_path }) => file_path.startsWith('/right/')).length).toBeGreaterThan(80);
    expect(failedIn('/right/').toSorted()).toEqual([...EXCUSED.keys()].toSorted());
  });

  it.each(broken)('would not get by with %s', (file, _, rule) => {
    expect(failedIn(`/broken/${file}`)).toContain(rule);
  });
});

describe('what kubectl makes of them', () => {
  let kubectl: string;

  beforeEach(async ({ skip }) => {
    kubectl = (await findOnPath('kubectl', process.env)) ?? skip('not tried, kubectl is not on PATH');
  });

  async function kustomize(place: string): Promise<readonly unknown[]> {
    const env = { PATH: process.env.PATH, HOME: folder };
    const { code, stdout, stderr } = await runCommand(kubectl, ['kustomize', place], { env });
    if (code !== 0) throw new Error(`kubectl ended with ${code}: ${lastLines(stderr)}`);
    return yamlIn('what was made', stdout);
  }

  it('is good by the schemas, settings included', async () => {
    const made = await kustomize(path.join(root, path.dirname(KUSTOMIZATION)));
    expect(made).toHaveLength(manifests.length + 1);
    expect(await faultsIn(made)).toEqual([]);
  });

  it('has what the kustomization of the document says', async () => {
    const place = path.join(folder, 'own');
    await cp(path.join(root, 'deploy'), path.join(place, 'leasekeeper/deploy'), { recursive: true });
    const [kustomization = ''] = fencedBlocks(readProjectFile('docs/deploy-one-process.md'), 'yaml');
    await writeFile(path.join(place, 'kustomization.yaml'), kustomization);
    await writeFile(path.join(place, 'vault-ca.pem'), 'a certificate');
    const made = await kustomize(place);
    expect(await faultsIn(made)).toEqual([]);
    const text = JSON.stringify(made);
    expect(text).toContain('"VAULT_CACERT_PEM":"a certificate"');
    expect(text).toContain('"LEASEKEEPER_AUTH":"kubernetes"');
    expect(text).toMatch(/"image":"[^"]+\/leasekeeper:[\d.]+"/);
    expect(text).toContain('"port":5432');
  });
});
