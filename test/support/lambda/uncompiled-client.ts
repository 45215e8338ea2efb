/**
 * Stands in for `rapid-client.node`, the compiled part of AWS's runtime client, where that cannot be built: the same three functions over
 * the same three routes of the Runtime API. Loaded by `node --import` before the client, of which everything else is AWS's own.
 */
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const agent = new Agent({ keepAlive: true });

async function exchange(method: string, path: string, headers: Record<string, string>, body: string) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    readonly bodyJson: string;
    readonly headers: NodeJS.Dict<string | string[]>;
  }>();
  const asked = request(`${api}${path}`, { method, headers, agent }, (answer) => {
    let text = '';
    answer.setEncoding('utf8');
    answer.on('data', (chunk: string) => {
      text += chunk;
    });
    answer.on('end', () => resolve({ bodyJson: text, headers: answer.headers }));
    answer.on('error', reject);
  });
  asked.on('error', reject);
  asked.end(body);
  return promise;
}

/** The compiled part answers before it returns; here what comes next waits for it. */
let answered: Promise<unknown> = Promise.resolve();
const json = { 'content-type': 'application/json' };

const client = {
  next: async () => {
    await answered;
    return exchange('GET', '/next', {}, '');
  },
  done: (id: string, body: string) => {
    answered = exchange('POST', `/${id}/response`, json, body);
  },
  error: (id: string, body: string, cause: string) => {
    const headers = { ...json, 'lambda-runtime-function-xray-error-cause': cause };
    answered = exchange('POST', `/${id}/error`, headers, body);
  },
};

createRequire(import.meta.url).extensions['.node'] = (module) => {
  module.exports = client;
};
