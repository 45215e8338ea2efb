import { createServer, request as requestTo } from 'node:http';
import { type ListeningServer, listening } from '../support/listening.ts';

/**
 * What a domain of one's own does for an HTTP API: another address for it. The local AWS tells its APIs apart by the header `Host`, which no
 * name server knows here.
 */
export async function ownDomain(gateway: string, apiHost: string): Promise<ListeningServer> {
  const { hostname, port } = new URL(gateway);
  return listening(
    createServer((request, response) => {
      const { method, url: path, headers } = request;
      const onward = requestTo({ hostname, port, method, path, headers: { ...headers, host: apiHost } });
      onward.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.writeHead(502).end());
      request.pipe(onward);
    }),
  );
}
