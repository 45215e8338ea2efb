import assert from 'node:assert';
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';
import { deserialize, serialize } from 'node:v8';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../../lib/telemetry/log.ts';
import { isSecret, Secret } from '../../lib/telemetry/secret.ts';

const CANARY = 'canary-7f3a';

function collect(): { stream: Writable; text: () => string } {
  const chunks: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk));
      done();
    },
  });
  return { stream, text: () => chunks.join('') };
}

function onConsole(print: (console: Console) => void): string {
  const { stream, text } = collect();
  print(new Console(stream, stream));
  return text();
}

function onPino(print: (logger: pino.Logger) => void): string {
  const { stream, text } = collect();
  print(pino({ level: 'trace' }, stream));
  return text();
}

function assertionMessage(secret: unknown): string {
  try {
    assert.deepStrictEqual({ secret }, { secret: 1 });
  } catch (error) {
    return inspect(error);
  }
  return '';
}

/** Every way to print we know of. Each takes the secret and gives the text somebody would read. */
const waysToPrint: Record<string, (secret: Secret) => string> = {
  String: (secret) => String(secret),
  'toString()': (secret) => secret.toString(),
  'Object.prototype.toString': (secret) => Object.prototype.toString.call(secret),
  'toLocaleString()': (secret) => secret.toLocaleString(),
  'valueOf()': (secret) => inspect(secret.valueOf()),
  'template literal': (secret) => `${secret}`,
  concatenation: (secret) => `a${''}`.concat(String(secret)) + secret,
  'array join': (secret) => [secret, secret].join(','),
  number: (secret) => String(Number(secret)),
  'JSON.stringify': (secret) => JSON.stringify(secret),
  'JSON.stringify, nested': (secret) => JSON.stringify({ a: [{ secret }] }),
  'JSON.stringify of a spread': (secret) => JSON.stringify({ ...secret }),
  inspect: (secret) => inspect(secret),
  'inspect, nested with showHidden': (secret) =>
    inspect(
      { a: [{ secret }], map: new Map([[secret, secret]]), set: new Set([secret]) },
      { showHidden: true, depth: 9 },
    ),
  'inspect without custom functions': (secret) =>
    inspect(secret, { customInspect: false, showHidden: true, showProxy: true, getters: true, depth: 9 }),
  'inspect of a proxy': (secret) => inspect(new Proxy(secret, {}), { showProxy: true, showHidden: true }),
  'inspect of a symbol': (secret) => inspect(Symbol(String(secret))),
  ...Object.fromEntries(
    ['%s', '%d', '%i', '%f', '%j', '%o', '%O', '%c', '%'].map((how) => [
      `format ${how}`,
      (secret: Secret) => format(how, secret),
    ]),
  ),
  'console.log': (secret) => onConsole((console) => console.log(secret, 'and', { secret })),
  'console.error': (secret) => onConsole((console) => console.error('%o', secret)),
  'console.dir': (secret) =>
    onConsole((console) => console.dir({ secret }, { showHidden: true, depth: null })),
  'console.table': (secret) => onConsole((console) => console.table([{ secret }, secret])),
  'console.trace': (secret) => onConsole((console) => console.trace(secret)),
  'Object.keys': (secret) => Object.keys(secret).join(),
  'Object.entries': (secret) => inspect(Object.entries(secret)),
  'Object.values': (secret) => inspect(Object.values(secret)),
  'own properties': (secret) => inspect(Object.getOwnPropertyDescriptors(secret), { showHidden: true }),
  'own keys': (secret) => inspect(Reflect.ownKeys(secret)),
  'for in': (secret) => {
    const seen: string[] = [];
    for (const key in secret) seen.push(key);
    return seen.join();
  },
  spread: (secret) => inspect({ ...secret }, { showHidden: true }),
  'Object.assign': (secret) => inspect(Object.assign({}, secret)),
  'structured clone': (secret) => inspect(structuredClone({ secret }), { showHidden: true, depth: 9 }),
  'v8 serialize': (secret) => {
    const bytes = serialize({ secret });
    return `${bytes.toString('latin1')} ${inspect(deserialize(bytes))}`;
  },
  'URL and query': (secret) =>
    `${new URL(`http://x.example/${secret}`)} ${new URLSearchParams({ a: String(secret) })}`,
  'HTTP header': (secret) => new Headers([['x', String(secret)]]).get('x') ?? '',
  'regular expression': (secret) => String(new RegExp(String(secret))),
  'property name': (secret) => Object.keys({ [String(secret)]: 1 }).join(),
  'error message': (secret) => inspect(new Error(`no: ${secret}`, { cause: secret }), { showHidden: true }),
  'error property': (secret) => inspect(Object.assign(new Error('no'), { secret })),
  'assertion message': assertionMessage,
  'class source': (secret) => String(secret.constructor),
  pino: (secret) =>
    onPino((logger) => {
      logger.info(secret);
      logger.info({ secret, nested: { secret, list: [secret] } }, 'with %s %o %j', secret, secret, secret);
      logger.child({ secret }).error(Object.assign(new Error(`${secret}`), { secret }));
    }),
  'our logger': (secret) => {
    const { stream, text } = collect();
    const logger = createLogger({ level: 'trace', name: 'test', destination: stream });
    logger.info(secret);
    logger.info({ plain: secret, nested: { plain: secret } }, '%s %o', secret, secret);
    logger.child({ plain: secret }).error(Object.assign(new Error(`${secret}`), { plain: secret }));
    return text();
  },
};

describe('Secret', () => {
  it.each(Object.entries(waysToPrint))('does not show its value through %s', (_way, print) => {
    const printed = print(new Secret(CANARY));

    expect(printed).not.toContain(CANARY);
  });

  it.each(Object.entries(waysToPrint))(
    'does not show a value that is an object through %s',
    (_way, print) => {
      const secret: Secret<unknown> = new Secret({ inner: CANARY, list: [CANARY] });

      // The printers care for no type; they are given whatever somebody put into a Secret.
      const printed = print(Object(secret));

      expect(printed).not.toContain(CANARY);
    },
  );

  it('prints as [secret]', () => {
    const secret = new Secret(CANARY);

    expect(`${secret}`).toBe('[secret]');
    expect(JSON.stringify({ secret })).toBe('{"secret":"[secret]"}');
    expect(inspect({ secret })).toBe('{ secret: [secret] }');
    expect(onConsole((console) => console.log(secret))).toBe('[secret]\n');
    expect(format('%s', secret)).toBe('[secret]');
  });

  it('gives its value to who asks for it', () => {
    const data = { username: 'u', password: CANARY };

    expect(new Secret(CANARY).expose()).toBe(CANARY);
    expect(new Secret(data).expose()).toBe(data);
  });

  it('cannot be given other properties or methods', () => {
    const secret = new Secret(CANARY);

    expect(() => Object.assign(secret, { toString: () => secret.expose() })).toThrow(TypeError);
    expect(`${secret}`).toBe('[secret]');
  });
});

describe('isSecret', () => {
  it('knows a Secret by its private field, not by its looks', () => {
    expect(isSecret(new Secret(CANARY))).toBe(true);
    expect(isSecret(new Secret(undefined))).toBe(true);
    expect(isSecret(structuredClone(Object(new Secret(CANARY))))).toBe(false);
    expect(isSecret(Object.create(Secret.prototype))).toBe(false);
    expect(isSecret({ expose: () => CANARY })).toBe(false);
    for (const other of [null, undefined, CANARY, 1, []]) expect(isSecret(other)).toBe(false);
  });
});
