import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { readConfig, VARIABLES } from '../../lib/host/config.ts';
import { ROUTES } from '../../lib/host/route-table.ts';
import { specialRangeOf } from '../../lib/notices/address-ranges.ts';
import { fencedBlocks, projectFiles, readProjectFile } from '../docs/documents.ts';
import {
  CONTAINERFILE,
  directivesIn,
  KUSTOMIZATION,
  MANIFESTS,
  POD_SETTINGS,
  settingsIn,
  UNIT,
  UNIT_SETTINGS,
  yamlIn,
} from './files.ts';

const PAUSE_AND_REQUESTS_SECONDS = 30;
const DOCUMENT = readProjectFile('docs/deploy-one-process.md');
const { version } = z.object({ version: z.string() }).parse(JSON.parse(readProjectFile('package.json')));

const probe = z.object({ httpGet: z.object({ path: z.string(), port: z.string() }) });
const deploymentSchema = z.object({
  spec: z.object({
    replicas: z.number(),
    template: z.object({
      metadata: z.object({ annotations: z.record(z.string(), z.string()) }),
      spec: z.object({
        serviceAccountName: z.string(),
        terminationGracePeriodSeconds: z.number(),
        containers: z.tuple([
          z.object({
            image: z.string(),
            envFrom: z.tuple([z.object({ configMapRef: z.object({ name: z.string() }) })]),
            ports: z.tuple([z.object({ name: z.string(), containerPort: z.number() })]),
            startupProbe: probe,
            livenessProbe: probe,
            readinessProbe: probe,
            lifecycle: z.object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }) }) }),
            volumeMounts: z.tuple([z.object({ name: z.string(), mountPath: z.string() })]),
          }),
        ]),
        volumes: z.tuple([
          z.object({
            name: z.string(),
            projected: z.object({
              sources: z.tuple([
                z.object({ serviceAccountToken: z.object({ audience: z.string(), path: z.string() }) }),
              ]),
            }),
          }),
        ]),
      }),
    }),
  }),
});
const portsSchema = z.object({ ports: z.array(z.object({ port: z.union([z.number(), z.string()]) })) });
const policySchema = z.object({
  spec: z.object({
    ingress: z.array(portsSchema),
    egress: z.array(
      portsSchema.extend({
        to: z.array(
          z.object({ ipBlock: z.object({ cidr: z.string(), except: z.array(z.string()) }).optional() }),
        ),
      }),
    ),
  }),
});
const serviceSchema = z.object({
  spec: z.object({ ports: z.tuple([z.object({ port: z.number(), targetPort: z.string() })]) }),
});

const one = <T extends z.ZodType>(schema: T, name: string) =>
  schema.parse(yamlIn(`deploy/kubernetes/${name}.yaml`)[0]);
const pod = one(deploymentSchema, 'deployment').spec.template;
const [container] = pod.spec.containers;
const [port] = container.ports;
const local: readonly string[] = ROUTES.local;

describe.each([UNIT_SETTINGS, POD_SETTINGS])('%s', (file) => {
  it('sets only what the configuration reads, and no secret', () => {
    const names = Object.keys(settingsIn(file));
    const examples = [...readProjectFile(file).matchAll(/^#([A-Z_]+)=/gm)].map(([, name = '']) => name);
    expect(names.length).toBeGreaterThan(3);
    expect([...names, ...examples].filter((name) => !VARIABLES.includes(name))).toEqual([]);
    expect(names.filter((name) => /TOKEN|SECRET|ROLE_ID|PASSWORD/.test(name))).toEqual([]);
  });
});

describe('the unit', () => {
  const directives = directivesIn(readProjectFile(UNIT));
  const set = directives.get('Environment') ?? [];

  it('has with its settings all that the configuration needs', () => {
    const environment = Object.fromEntries(
      set.map((pair) => [pair.split('=')[0], pair.split('=').slice(1).join('=')]),
    );
    expect(Object.keys(environment).filter((name) => !VARIABLES.includes(name))).toEqual(['NODE_ENV']);
    const config = readConfig({ ...settingsIn(UNIT_SETTINGS), ...environment });
    expect(config).toMatchObject({
      auth: { kind: 'approle', file: '%d/approle.json' },
      // Plain HTTP goes to the machine's own proxy and no further.
      listen: { host: '127.0.0.1', port: 8280 },
    });
    expect(directives.get('LoadCredential')).toEqual(['approle.json:/etc/leasekeeper/approle.json']);
    expect(directives.get('EnvironmentFile')).toEqual([`/etc/leasekeeper/${path.basename(UNIT_SETTINGS)}`]);
  });

  it('starts what the document installs', () => {
    const [place = ''] = directives.get('ExecStart')?.[0]?.split(' ').slice(1) ?? [];
    expect(place).toBe('/opt/leasekeeper/current/dist/lib/cli/main.js');
    const installed = fencedBlocks(DOCUMENT, 'sh').join('\n');
    expect(installed).toContain(`cp -r package.json node_modules dist vault /opt/leasekeeper/${version}/`);
    expect(installed).toContain(`ln -sfn ${version} /opt/leasekeeper/current`);
    for (const file of [UNIT, UNIT_SETTINGS]) expect(installed).toContain(` ${file} `);
  });

  it('waits longer for its end than requests may take', () => {
    const [seconds] = directives.get('TimeoutStopSec') ?? [];
    expect(Number(seconds?.replace('s', ''))).toBeGreaterThan(PAUSE_AND_REQUESTS_SECONDS);
  });
});

describe('the manifests', () => {
  const settings = settingsIn(POD_SETTINGS);

  it('are all in the kustomization, and nothing else is', () => {
    const schema = z.object({
      resources: z.array(z.string()),
      configMapGenerator: z.array(z.object({ name: z.string(), envs: z.array(z.string()) })),
    });
    const { resources, configMapGenerator } = schema.parse(yamlIn(KUSTOMIZATION)[0]);
    expect(resources.toSorted()).toEqual(MANIFESTS.map((file) => path.basename(file)).toSorted());
    expect(configMapGenerator).toEqual([
      { name: container.envFrom[0].configMapRef.name, envs: [path.basename(POD_SETTINGS)] },
    ]);
    expect(projectFiles('deploy/kubernetes/*')).toHaveLength(resources.length + 2);
  });

  it('have with their settings all that the configuration needs, and the token where it looks for it', () => {
    const [{ serviceAccountToken: token }] = pod.spec.volumes[0].projected.sources;
    const [mount] = container.volumeMounts;
    expect(readConfig(settings)).toMatchObject({
      auth: { kind: 'kubernetes', jwtFile: `${mount.mountPath}/${token.path}` },
      listen: { host: '0.0.0.0', port: port.containerPort },
    });
    expect(mount.name).toBe(pod.spec.volumes[0].name);
  });

  it('are of the account and audience that the document has Vault let in', () => {
    const [{ serviceAccountToken: token }] = pod.spec.volumes[0].projected.sources;
    const account = z.object({ metadata: z.object({ name: z.string(), namespace: z.string() }) });
    const { metadata } = one(account, 'service-account');
    expect(pod.spec.serviceAccountName).toBe(metadata.name);
    const commands = fencedBlocks(DOCUMENT, 'sh')
      .join('\n')
      .replaceAll(/\\\n\s*/g, '');
    expect(commands).toContain(
      `--service-account ${metadata.name} --service-account-namespace ${metadata.namespace} --audience ${token.audience}\n`,
    );
  });

  it('ask for life without asking for Vault, and for readiness', () => {
    const { startupProbe, livenessProbe, readinessProbe } = container;
    const paths = [startupProbe, livenessProbe, readinessProbe].map(({ httpGet }) => httpGet.path);
    expect(paths).toEqual(['/livez', '/livez', '/readyz']);
    expect(paths.filter((one) => !local.includes(`GET ${one}`))).toEqual([]);
    expect(local).toContain(`GET ${pod.metadata.annotations['prometheus.io/path']}`);
  });

  it('agree on the port', () => {
    const named = [container.startupProbe, container.livenessProbe, container.readinessProbe];
    expect(named.map(({ httpGet }) => httpGet.port)).toEqual(named.map(() => port.name));
    expect(pod.metadata.annotations['prometheus.io/port']).toBe(String(port.containerPort));
    const [{ targetPort }] = one(serviceSchema, 'service').spec.ports;
    const { ingress } = one(policySchema, 'network-policy').spec;
    expect([targetPort, ...ingress.flatMap(({ ports }) => ports.map((entry) => entry.port))]).toEqual(
      [targetPort, ...ingress].map(() => port.name),
    );
  });

  it('give time for the pause and for requests under way', () => {
    const pause = container.lifecycle.preStop.sleep.seconds;
    expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThan(pause + PAUSE_AND_REQUESTS_SECONDS);
  });

  it('let notices go to public addresses only, as Leasekeeper itself does', () => {
    const blocks = one(policySchema, 'network-policy').spec.egress.flatMap(({ to }) =>
      to.flatMap(({ ipBlock }) => ipBlock ?? []),
    );
    expect(blocks.map(({ cidr }) => cidr)).toEqual(['0.0.0.0/0', '::/0']);
    const closed = blocks.flatMap(({ except }) => except);
    expect(
      closed.map((range) => specialRangeOf(range.split('/')[0] ?? '')).filter((name) => name === undefined),
    ).toEqual([]);
    expect(closed).toEqual(
      expect.arrayContaining(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16', 'fc00::/7']),
    );
  });

  it('are of this version, as the document is', () => {
    expect(container.image).toBe(`leasekeeper:${version}`);
    const [kustomization = ''] = fencedBlocks(DOCUMENT, 'yaml');
    expect(kustomization).toContain(`newTag: ${version}\n`);
  });
});

describe('the image', () => {
  const containerfile = readProjectFile(CONTAINERFILE);

  it('listens where its port says, and is asked for life there', () => {
    const [, exposed] = /^EXPOSE (\d+)$/m.exec(containerfile) ?? [];
    const [, listen] = /LEASEKEEPER_LISTEN=(\S+)/.exec(containerfile) ?? [];
    expect([Number(exposed), listen]).toEqual([port.containerPort, `0.0.0.0:${exposed}`]);
    expect(containerfile).toContain(`fetch('http://127.0.0.1:${exposed}/livez')`);
  });
});
