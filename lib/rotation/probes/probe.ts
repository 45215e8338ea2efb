import * as z from 'zod';
import { testHttpRequest } from './http.ts';
import { httpProbeSchema } from './http-schema.ts';
import { mysqlProbeSchema, testMysqlLogin } from './mysql.ts';
import { postgresProbeSchema, testPostgresLogin } from './postgres.ts';
import type { ProbeResult } from './probe-result.ts';
import { testCertificate } from './tls.ts';
import { tlsProbeSchema } from './tls-schema.ts';
import type { Value } from './value-fields.ts';

/** How a new generation is tried before anybody gets it. */
export const probeSchema = z.discriminatedUnion('kind', [
  postgresProbeSchema,
  mysqlProbeSchema,
  httpProbeSchema,
  tlsProbeSchema,
]);
export type Probe = z.infer<typeof probeSchema>;

/** Milliseconds; a certificate is valid or not at that time. */
export interface ProbeClock {
  readonly now: () => number;
}

export type RunProbe = (probe: Probe, value: Value, clock?: ProbeClock) => Promise<ProbeResult>;

/** Tries a value for real. Never throws for a value that does not work. */
export const runProbe: RunProbe = (probe, value, { now } = { now: Date.now }) => {
  switch (probe.kind) {
    case 'postgres':
      return testPostgresLogin(probe, value);
    case 'mysql':
      return testMysqlLogin(probe, value);
    case 'http':
      return testHttpRequest(probe, value);
    case 'tls':
      return testCertificate(probe, value, now());
  }
};
