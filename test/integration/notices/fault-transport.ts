import type { Transport, TransportRequest } from '../../../lib/vault/transport.ts';

/** Says how often it has been true. */
export type Fault = (request: TransportRequest) => boolean;

/** The worker dies with that request: Vault carries it out, and nothing goes on here. */
export function dyingAfter(fault: Fault): (real: Transport) => Transport {
  return (real) => ({
    exchange: async (request) => {
      const answer = await real.exchange(request);
      return fault(request) ? new Promise(() => {}) : answer;
    },
    close: () => real.close(),
  });
}

/** The worker dies before that request. */
export function dyingBefore(fault: Fault): (real: Transport) => Transport {
  return (real) => ({
    exchange: (request) => (fault(request) ? new Promise(() => {}) : real.exchange(request)),
    close: () => real.close(),
  });
}

/** The n-th write of a document of a folder of the state mount, counted from 1. */
export function nthWrite(folder: string, n: number): Fault {
  let count = 0;
  return ({ method, path }) => {
    if (method !== 'PUT' || !path.includes(`/data/${folder}/`)) return false;
    count += 1;
    return count === n;
  };
}

/** Takes down what is asked of Vault: `GET /v1/…`. */
export function recordingExchanges() {
  const requests: string[] = [];
  const transport = (real: Transport): Transport => ({
    exchange: (request) => {
      requests.push(`${request.method} ${request.path}`);
      return real.exchange(request);
    },
    close: () => real.close(),
  });
  return { requests, transport };
}
