import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import {
  type Environment,
  metricsNamespace,
  readConfig,
  traceHeader,
  VARIABLES,
} from '../../lib/host/config.ts';

const [certificate = '', another = ''] = rootCertificates;

/** As little as will do. */
const least = {
  VAULT_ADDR: 'https://vault.example.com:8200',
  LEASEKEEPER_APPROLE_FILE: '/etc/leasekeeper/approle.json',
};

const authOf = (environment: Environment) =>
  readConfig({ VAULT_ADDR: 'https://vault.example.com:8200', ...environment }).auth;

function faultOf(environment: Environment): unknown {
  try {
    readConfig(environment);
  } catch (error) {
    return error;
  }
  throw new Error('The configuration was accepted.');
}

describe('the configuration', () => {
  it('has defaults for all but the address and the login', () => {
    expect(readConfig(least)).toEqual({
      vaultAddress: 'https://vault.example.com:8200',
      namespace: 'lotabots',
      authNamespace: '',
      ca: undefined,
      stateMount: 'leasekeeper',
      auth: { kind: 'approle', mount: 'approle', file: '/etc/leasekeeper/approle.json' },
      scanIntervalMs: 60_000,
      lookAheadMs: 66_000,
      busName: undefined,
      cloudEvents: false,
      callerMounts: ['kubernetes'],
      callerRate: { perSecond: 10, burst: 50 },
      replaceGraceMs: 60_000,
      noticeAllow: [],
      noticeCa: undefined,
      listen: { host: '127.0.0.1', port: 8280 },
      logLevel: 'info',
    });
  });

  it.each([
    ['VAULT_ADDR', 'http://127.0.0.1:8200', { vaultAddress: 'http://127.0.0.1:8200' }],
    ['VAULT_NAMESPACE', 'team-a', { namespace: 'team-a' }],
    ['VAULT_AUTH_NAMESPACE', 'admin', { authNamespace: 'admin' }],
    ['VAULT_CACERT_PEM', '-----BEGIN CERTIFICATE-----', { ca: '-----BEGIN CERTIFICATE-----' }],
    ['LEASEKEEPER_STATE_MOUNT', 'state', { stateMount: 'state' }],
    [
      'LEASEKEEPER_AUTH_MOUNT',
      'machines',
      { auth: { kind: 'approle', mount: 'machines', file: least.LEASEKEEPER_APPROLE_FILE } },
    ],
    ['LEASEKEEPER_APPROLE_FILE', '/x', { auth: { kind: 'approle', mount: 'approle', file: '/x' } }],
    ['LEASEKEEPER_SCAN_INTERVAL', '5', { scanIntervalMs: 5_000, lookAheadMs: 7_000 }],
    ['LEASEKEEPER_BUS', 'arn:aws:events:bus', { busName: 'arn:aws:events:bus' }],
    ['LEASEKEEPER_CLOUDEVENTS', 'true', { cloudEvents: true }],
    ['LEASEKEEPER_CLOUDEVENTS', 'false', { cloudEvents: false }],
    ['LEASEKEEPER_CALLER_MOUNTS', 'cluster-a, oidc/ci', { callerMounts: ['cluster-a', 'oidc/ci'] }],
    ['LEASEKEEPER_CALLER_RATE', '0.5', { callerRate: { perSecond: 0.5, burst: 50 } }],
    ['LEASEKEEPER_CALLER_BURST', '3', { callerRate: { perSecond: 10, burst: 3 } }],
    ['LEASEKEEPER_REPLACE_GRACE', '90', { replaceGraceMs: 90_000 }],
    [
      'LEASEKEEPER_NOTICE_ALLOW',
      '10.0.0.0/8, hooks.internal,',
      { noticeAllow: ['10.0.0.0/8', 'hooks.internal'] },
    ],
    ['LEASEKEEPER_NOTICE_CA_PEM', `\n${certificate}\n`, { noticeCa: certificate.trim() }],
    [
      'LEASEKEEPER_NOTICE_CA_PEM',
      `${certificate}\n# the next\n${another}`,
      { noticeCa: `${certificate}\n# the next\n${another}`.trim() },
    ],
    ['LEASEKEEPER_LISTEN', '0.0.0.0:80', { listen: { host: '0.0.0.0', port: 80 } }],
    ['LEASEKEEPER_LISTEN', '[::1]:8280', { listen: { host: '::1', port: 8280 } }],
    ['LEASEKEEPER_LOG_LEVEL', 'debug', { logLevel: 'debug' }],
    ['LEASEKEEPER_METRICS_NAMESPACE', 'leasekeeper-prod', {}],
  ])('reads %s', (name, value, expected) => {
    expect(readConfig({ ...least, [name]: value })).toMatchObject(expected);
  });

  it('reads each way to log in', () => {
    expect(authOf({ LEASEKEEPER_AUTH: 'token', VAULT_TOKEN: 't' })).toEqual({ kind: 'token', token: 't' });
    expect(authOf({ LEASEKEEPER_AUTH: 'kubernetes' })).toEqual({
      kind: 'kubernetes',
      mount: 'kubernetes',
      rolePrefix: 'leasekeeper-',
      jwtFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    });
    expect(
      authOf({
        LEASEKEEPER_AUTH: 'kubernetes',
        LEASEKEEPER_ROLE_PREFIX: 'lk-',
        LEASEKEEPER_JWT_FILE: '/jwt',
      }),
    ).toMatchObject({ rolePrefix: 'lk-', jwtFile: '/jwt' });
    expect(authOf({ LEASEKEEPER_ROLE_ID: 'r', LEASEKEEPER_SECRET_ID: 's' })).toEqual({
      kind: 'approle-one',
      mount: 'approle',
      roleId: 'r',
      secretId: 's',
    });
    const here = { AWS_REGION: 'eu-west-1' };
    expect(authOf({ LEASEKEEPER_APPROLE_PARAMETER: '/lk/scan', ...here })).toEqual({
      kind: 'approle-parameter',
      mount: 'approle',
      parameter: '/lk/scan',
      aws: { region: 'eu-west-1', endpoint: undefined },
    });
    expect(authOf({ LEASEKEEPER_APPROLE_SECRET: 'lk/scan', ...here })).toEqual({
      kind: 'approle-secret',
      mount: 'approle',
      secret: 'lk/scan',
      aws: { region: 'eu-west-1', endpoint: undefined },
    });
  });

  it('speaks to AWS where AWS’s own tools would', () => {
    const all = 'http://all.example.com';
    const here = { AWS_REGION: 'eu-west-1', AWS_ENDPOINT_URL: all };
    const parameter = { ...here, LEASEKEEPER_APPROLE_PARAMETER: '/lk/scan' };
    const secret = { ...here, LEASEKEEPER_APPROLE_SECRET: 'lk/scan' };
    expect(authOf(parameter)).toMatchObject({ aws: { endpoint: all } });
    expect(authOf(secret)).toMatchObject({ aws: { endpoint: all } });
    const one = 'http://one.example.com';
    expect(authOf({ ...parameter, AWS_ENDPOINT_URL_SSM: one })).toMatchObject({ aws: { endpoint: one } });
    expect(authOf({ ...secret, AWS_ENDPOINT_URL_SSM: one })).toMatchObject({ aws: { endpoint: all } });
    expect(authOf({ ...secret, AWS_ENDPOINT_URL_SECRETS_MANAGER: one })).toMatchObject({
      aws: { endpoint: one },
    });
  });

  it('takes a blank variable for one that is not set', () => {
    const blank = Object.fromEntries(VARIABLES.map((name) => [name, ' ']));
    expect(readConfig({ ...blank, ...least })).toEqual(readConfig(least));
  });

  it('ignores what it does not know', () => {
    expect(readConfig({ ...least, LEASEKEEPER_UNKNOWN: 'x', PATH: '/bin' })).toEqual(readConfig(least));
  });

  it.each([
    ['VAULT_ADDR', undefined, least],
    ['VAULT_ADDR', 'vault.example.com-hunter2', least],
    ['VAULT_ADDR', 'ftp://hunter2@vault.example.com', least],
    ['LEASEKEEPER_AUTH', 'hunter2', least],
    ['LEASEKEEPER_CLOUDEVENTS', 'hunter2', least],
    ['LEASEKEEPER_SCAN_INTERVAL', 'hunter2', least],
    ['LEASEKEEPER_SCAN_INTERVAL', '0', least],
    ['LEASEKEEPER_SCAN_INTERVAL', 'Infinity', least],
    ['LEASEKEEPER_REPLACE_GRACE', '-1', least],
    ['LEASEKEEPER_NOTICE_CA_PEM', 'hunter2', least],
    ['LEASEKEEPER_NOTICE_CA_PEM', '-----BEGIN CERTIFICATE-----hunter2', least],
    ['LEASEKEEPER_NOTICE_CA_PEM', certificate.replaceAll('\n', ' '), least],
    ['LEASEKEEPER_NOTICE_CA_PEM', certificate.replaceAll('\n', '\\n'), least],
    ['LEASEKEEPER_NOTICE_CA_PEM', `${certificate}\n${another.replaceAll('\n', '')}`, least],
    ['LEASEKEEPER_LISTEN', 'hunter2', least],
    ['LEASEKEEPER_LISTEN', 'hunter2:', least],
    ['LEASEKEEPER_LISTEN', 'hunter2:65536', least],
    ['LEASEKEEPER_LISTEN', 'hunter2:80:80', least],
    ['LEASEKEEPER_LOG_LEVEL', 'hunter2', least],
    ['LEASEKEEPER_APPROLE_FILE', undefined, least],
    ['LEASEKEEPER_APPROLE_FILE', undefined, { ...least, LEASEKEEPER_SECRET_ID: 'hunter2' }],
    ['VAULT_TOKEN', undefined, { ...least, LEASEKEEPER_AUTH: 'token' }],
    ['AWS_REGION', undefined, { ...least, LEASEKEEPER_APPROLE_PARAMETER: '/hunter2' }],
    ['AWS_REGION', undefined, { ...least, LEASEKEEPER_APPROLE_SECRET: '/hunter2' }],
    ['AWS_REGION', 'x.hunter2.com', { ...least, LEASEKEEPER_APPROLE_SECRET: '/hunter2' }],
    [
      'AWS_ENDPOINT_URL',
      'hunter2',
      { VAULT_ADDR: 'http://127.0.0.1:1', LEASEKEEPER_APPROLE_PARAMETER: 'a', AWS_REGION: 'eu-west-1' },
    ],
  ])('refuses %s=%s by its name, and does not say what was in it', (name, value, base) => {
    const fault = faultOf({ ...base, [name]: value });
    expect(fault).toMatchObject({ code: 'configuration_invalid', message: expect.stringContaining(name) });
    expect(fault).toHaveProperty('hint', expect.any(String));
    expect(JSON.stringify(fault, ['message', 'hint', 'stack'])).not.toContain('hunter2');
  });

  it('names every variable at fault at once', () => {
    const fault = faultOf({ ...least, VAULT_ADDR: 'x', LEASEKEEPER_LOG_LEVEL: 'x', LEASEKEEPER_AUTH: 'x' });
    for (const name of ['VAULT_ADDR', 'LEASEKEEPER_LOG_LEVEL', 'LEASEKEEPER_AUTH'])
      expect(fault).toHaveProperty('message', expect.stringContaining(name));
  });
});

describe('the namespace of metrics', () => {
  const namespaceOf = (value: string) => metricsNamespace({ LEASEKEEPER_METRICS_NAMESPACE: value });

  it.each(['leasekeeper-prod', 'Team A/leasekeeper_2.1#x:y', 'A'.repeat(255), 'AWSome/x'])(
    'is what was asked for, whatever else is wrong: %s',
    (value) => {
      expect(namespaceOf(value)).toBe(value);
      expect(namespaceOf(` ${value} `)).toBe(value);
      expect(() => readConfig({ ...least, LEASEKEEPER_METRICS_NAMESPACE: value })).not.toThrow();
    },
  );

  it('has a default', () => {
    expect(metricsNamespace({})).toBe('Leasekeeper');
    expect(namespaceOf(' ')).toBe('Leasekeeper');
  });

  it.each(['AWS/Lambda', ':x', 'A'.repeat(256), 'ä', 'a\nb', 'a"b'])(
    'is the default where CloudWatch would not take it, which the configuration refuses: %j',
    (value) => {
      expect(namespaceOf(value)).toBe('Leasekeeper');
      expect(faultOf({ ...least, LEASEKEEPER_METRICS_NAMESPACE: value })).toMatchObject({
        code: 'configuration_invalid',
        message: expect.stringContaining('LEASEKEEPER_METRICS_NAMESPACE'),
      });
    },
  );
});

it('takes the tracing header from where Lambda puts it', () => {
  expect(traceHeader({ _X_AMZN_TRACE_ID: 'Root=1-x' })).toBe('Root=1-x');
  expect(traceHeader({})).toBeUndefined();
});
