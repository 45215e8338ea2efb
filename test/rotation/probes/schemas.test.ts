import { beforeAll, describe, expect, it } from 'vitest';
import { type Probe, probeSchema } from '../../../lib/rotation/probes/probe.ts';
import { issue } from './certificates.ts';

const postgres = { kind: 'postgres', host: 'db.example', database: 'app' };
const mysql = { kind: 'mysql', host: 'db.example' };
const http = { kind: 'http', url: 'https://api.example/v1/me', headers: { authorization: 'Bearer {{key}}' } };
const tls = { kind: 'tls' };
const json = { ...http.headers, 'content-type': 'application/json' };

let ca = '';
beforeAll(() => {
  ca = issue({ authority: true }).certificate;
});

/** Where a probe is wrong, and why. */
function faults(probe: unknown): string[] {
  const { error } = probeSchema.safeParse(probe);
  return (error?.issues ?? []).map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('what is left out of a probe', () => {
  it.each<[string, unknown, Partial<Probe>]>([
    [
      'postgres',
      postgres,
      {
        port: 5432,
        tls: true,
        username_field: 'username',
        password_field: 'password',
        query: 'SELECT 1',
        timeout: 10_000,
      },
    ],
    [
      'mysql',
      mysql,
      {
        port: 3306,
        tls: true,
        username_field: 'username',
        password_field: 'password',
        query: 'SELECT 1',
        timeout: 10_000,
      },
    ],
    ['http', http, { method: 'GET', insecure_http: false, timeout: 10_000 }],
    ['tls', tls, { valid_for: 0, timeout: 10_000 }],
  ])('is safe by default: %s', (_, given, expected) => {
    expect(probeSchema.parse(given)).toMatchObject(expected);
  });
});

describe('a probe that can be run', () => {
  it.each<[string, () => unknown]>([
    ['by authorities of its own', () => ({ ...postgres, ca })],
    ['MySQL at an address without TLS', () => ({ ...mysql, host: '127.0.0.1', tls: false })],
    ['http that was asked for', () => ({ ...http, url: 'http://api.example', insecure_http: true })],
    [
      'a body with a content-type',
      () => ({ ...http, method: 'POST', headers: json, body: '{"a":{"k":"{{key}}"}}' }),
    ],
    ['basic_auth', () => ({ ...http, headers: {}, basic_auth: {} })],
    ['a client certificate', () => ({ ...tls, host: 'mtls.example', port: 8443, valid_for: '1d', ca })],
  ])('%s', (_, probe) => {
    expect(faults(probe())).toEqual([]);
  });
});

describe('a probe that would not test what it says', () => {
  it.each<[string, () => unknown, string]>([
    ['an unknown kind', () => ({ kind: 'ldap' }), 'kind'],
    ['an unknown field', () => ({ ...postgres, hosts: 'x' }), 'hosts'],
    ['a port out of range', () => ({ ...postgres, port: 65_536 }), 'port'],
    ['a timeout of nothing', () => ({ ...postgres, timeout: '0s' }), 'timeout: expected more than nothing'],
    ['a timeout past a minute', () => ({ ...mysql, timeout: '61s' }), 'timeout: expected more than nothing'],
    ['postgres: ca without tls', () => ({ ...postgres, tls: false, ca }), 'ca: expected only with tls'],
    ['mysql: ca without tls', () => ({ ...mysql, tls: false, ca }), 'ca: expected only with tls'],
    ['a ca that is no PEM', () => ({ ...postgres, ca: 'ca.pem' }), 'ca: expected certificates in PEM'],
    [
      'a ca with one certificate that is none',
      () => ({ ...http, ca: `${ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n` }),
      'ca: expected certificates in PEM that can be read',
    ],
    ['mysql: TLS to an address', () => ({ ...mysql, host: '10.0.0.1' }), 'host: expected a host name'],
    ['plain http', () => ({ ...http, url: 'http://api.example' }), 'url: expected https'],
    [
      'another scheme',
      () => ({ ...http, url: 'ftp://a', insecure_http: true }),
      'url: expected an http(s) URL',
    ],
    ['no URL', () => ({ ...http, url: '/v1/me' }), 'url: expected an http(s) URL'],
    ['a value in the path', () => ({ ...http, url: 'https://a/{{key}}' }), 'url: no placeholders'],
    ['a value in the query', () => ({ ...http, url: 'https://a/?k={{key}}' }), 'url: no placeholders'],
    ['a value in the host', () => ({ ...http, url: 'https://{{key}}.a/' }), 'url: no placeholders'],
    ['a password in the URL', () => ({ ...http, url: 'https://u:p@a/' }), 'url: no user or password'],
    ['a fragment', () => ({ ...http, url: 'https://a/#b' }), 'url: expected no fragment'],
    ['a URL with a tab', () => ({ ...http, url: 'https://a/{\t{key}}' }), 'url: expected visible ASCII'],
    [
      'an unfinished placeholder',
      () => ({ ...http, headers: { 'x-key': '{{my key}}' } }),
      'placeholders such',
    ],
    ['an unfinished one in the body', () => ({ ...http, headers: json, body: '{{key' }), 'placeholders such'],
    ['a line break in a header', () => ({ ...http, headers: { 'x-key': '{{a}}\r\nb: c' } }), 'in one line'],
    ['no header name', () => ({ ...http, headers: { 'x key': '{{a}}' } }), 'headers.x key'],
    ['a header of the connection', () => ({ ...http, headers: { ...json, Host: 'b' } }), 'headers.Host'],
    ['a header twice', () => ({ ...http, headers: { 'x-a': '{{a}}', 'X-A': '{{a}}' } }), 'each header once'],
    ['a secret in plain', () => ({ ...http, headers: { Authorization: 'Bearer abc' } }), 'not in plain'],
    [
      'nothing of the value',
      () => ({ ...http, headers: { accept: '*/*' } }),
      'nothing of the value is tried',
    ],
    ['a body of unknown type', () => ({ ...http, body: '{{key}}' }), 'expected a content-type'],
    ['two credentials', () => ({ ...http, basic_auth: {} }), 'basic_auth: expected no header authorization'],
    ['an empty list of statuses', () => ({ ...http, expect_status: [] }), 'expect_status'],
    ['a status that ends nothing', () => ({ ...http, expect_status: [100] }), 'expect_status'],
    ['a host without a port', () => ({ ...tls, host: 'mtls.example' }), 'port: expected host and port'],
    ['a port without a host', () => ({ ...tls, port: 443 }), 'port: expected host and port'],
  ])('%s', (_, probe, expected) => {
    expect(faults(probe()).join('\n')).toContain(expected);
  });
});
