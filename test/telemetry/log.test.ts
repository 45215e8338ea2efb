import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { LeasekeeperError } from '../../lib/errors.ts';
import { createLogger, type Logger } from '../../lib/telemetry/log.ts';

const CANARY = 'canary-7f3a';

const run = promisify(execFile);
const outputSchema = z.object({ signal: z.literal('SIGKILL'), stdout: z.string() });

const lineSchema = z.record(z.string(), z.unknown());

/** Lets `write` log, and gives the lines. */
function linesOf(write: (logger: Logger) => void, level: 'trace' | 'warn' = 'trace') {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  write(createLogger({ level, name: 'scan', destination, now: () => 0 }));
  return lines;
}

function lineOf(write: (logger: Logger) => void): Record<string, unknown> {
  return lineSchema.parse(JSON.parse(linesOf(write).join('')));
}

const names = [
  'token',
  'password',
  'secret',
  'secret_id',
  'private_key',
  'authorization',
  'x-vault-token',
  'client_token',
  'jwt',
  'value',
  // Variants and compounds.
  'Authorization',
  'X-Vault-Token',
  'X_VAULT_TOKEN',
  'SECRET_ID',
  'secretId',
  'secretID',
  'clientToken',
  'PrivateKey',
  'JWT',
  'db_password',
  'signing_secrets',
  'aws_secret_access_key',
  'Set-Cookie',
];

describe('createLogger', () => {
  it('writes one JSON object a line, with the level as a word and an ISO time', () => {
    const [line, ...rest] = linesOf((logger) => logger.info({ due: 3 }, 'scanned %d shards', 32));

    expect(line).toBe(
      '{"level":"info","time":"1970-01-01T00:00:00.000Z","name":"scan","due":3,"msg":"scanned 32 shards"}\n',
    );
    expect(rest).toEqual([]);
  });

  it('keeps to its level', () => {
    expect(linesOf((logger) => logger.info('quiet'), 'warn')).toEqual([]);
  });
});

describe('standard output', () => {
  it('has each line before the next step of the program, which may be the last', async () => {
    const program = `
      const { createLogger } = await import('./lib/telemetry/log.ts');
      const logger = createLogger({ level: 'info', name: 'test' });
      process.stdout.write('first\\n');
      logger.info('second');
      process.stdout.write('third\\n');
      logger.child({}).info('fourth');
      process.kill(process.pid, 'SIGKILL');`;
    const killed = run(process.execPath, ['--input-type=module', '--eval', program]);
    const { stdout } = await killed.catch((error: unknown) => outputSchema.parse(error));

    expect(stdout.trim().split('\n')).toEqual([
      'first',
      expect.stringContaining('second'),
      'third',
      expect.stringContaining('fourth'),
    ]);
  });
});

describe('redaction by name', () => {
  it.each(names)('hides %s at each depth', (name) => {
    const secret = { [name]: CANARY };
    const line = lineOf((logger) =>
      logger.info({ ...secret, a: { ...secret, b: { ...secret, c: secret } } }),
    );

    expect(JSON.stringify(line)).not.toContain(CANARY);
    expect(line).toMatchObject({ [name]: '[secret]', a: { [name]: '[secret]', b: { [name]: '[secret]' } } });
  });

  it.each(names)('hides %s in lists, children, bindings and format arguments', (name) => {
    const secret = { [name]: CANARY };
    const lines = linesOf((logger) => {
      logger.info([secret, { list: [secret] }]);
      logger.info({ list: [secret, [secret]] });
      logger
        .child({ ...secret, a: secret })
        .child({ b: secret })
        .info('child');
      const child = logger.child({});
      child.setBindings({ a: secret });
      child.info('bound');
      logger.info('%j %o %O', secret, { secret }, [secret]);
    });

    expect(lines).toHaveLength(5);
    expect(lines.join('')).not.toContain(CANARY);
  });

  it('leaves names that only resemble one, and empty fields', () => {
    const plain = { accessor: 'a', path: 'p', tokens_left: 3, token_type: 's', lease_id: 'l', token: null };

    expect(lineOf((logger) => logger.info(plain))).toMatchObject(plain);
  });

  it('does not change what it was given', () => {
    const given = { headers: { 'X-Vault-Token': CANARY } };
    linesOf((logger) => logger.info(given));

    expect(given.headers['X-Vault-Token']).toBe(CANARY);
  });

  it('survives cycles, bytes, dates and missing values', () => {
    const cycle: Record<string, unknown> = { at: new Date(0), none: undefined, bytes: Buffer.from(CANARY) };
    cycle.self = cycle;
    const line = lineOf((logger) => logger.info(cycle));

    expect(line).toMatchObject({ at: '1970-01-01T00:00:00.000Z', bytes: '[11 bytes]' });
    expect(JSON.stringify(line)).toContain('[deep]');
  });
});

describe('errors', () => {
  const failure = (): Error => {
    const cause = Object.assign(new Error('connection refused'), {
      code: 'ECONNREFUSED',
      request: { body: CANARY },
    });
    const error = new LeasekeeperError('vault_unreachable', 'Vault does not answer.', {
      hint: 'Check VAULT_ADDR.',
      cause,
    });
    return Object.assign(error, { config: { body: CANARY }, detail: `Key (x)=(${CANARY})` });
  };
  const expected = {
    name: 'LeasekeeperError',
    code: 'vault_unreachable',
    message: 'Vault does not answer.',
    hint: 'Check VAULT_ADDR.',
    stack: expect.stringContaining('LeasekeeperError'),
    cause: {
      name: 'Error',
      code: 'ECONNREFUSED',
      message: 'connection refused',
      stack: expect.stringContaining('Error: connection refused'),
    },
  };

  it.each<[string, (logger: Logger) => void, Record<string, unknown>]>([
    ['alone', (logger) => logger.error(failure()), { err: expected, msg: 'Vault does not answer.' }],
    ['with a message', (logger) => logger.error(failure(), 'gave up'), { err: expected, msg: 'gave up' }],
    ['as err', (logger) => logger.error({ err: failure() }), { err: expected }],
    ['under another name', (logger) => logger.error({ failure: failure() }), { failure: expected }],
    ['further down', (logger) => logger.error({ a: { list: [failure()] } }), { a: { list: [expected] } }],
    ['in a child', (logger) => logger.child({ reason: failure() }).error('x'), { reason: expected }],
  ])('are reduced to their known fields %s', (_where, write, line) => {
    const written = lineOf(write);

    expect(written).toMatchObject(line);
    expect(JSON.stringify(written)).not.toContain(CANARY);
  });

  it('shows nothing of a cause that is no error', () => {
    const line = lineOf((logger) =>
      logger.error(new Error('no', { cause: { token: CANARY, other: CANARY } })),
    );

    expect(line.err).toEqual({ name: 'Error', message: 'no', stack: expect.any(String) });
  });

  it('keeps the members of an AggregateError', () => {
    const line = lineOf((logger) => logger.error(new AggregateError([failure(), CANARY], 'all failed')));

    expect(line.err).toMatchObject({ name: 'AggregateError', errors: [expected] });
    expect(JSON.stringify(line)).not.toContain(CANARY);
  });

  it('ends a chain of causes that is a circle', () => {
    const error = new Error('round');
    error.cause = error;

    expect(lineOf((logger) => logger.error(error)).err).toMatchObject({ cause: { message: 'round' } });
  });
});
