import * as z from 'zod';
import { testPostgresLogin } from './postgres.ts';
import type { ProbeResult } from './probe-result.ts';

/** How a new generation is tried before anybody gets it. */
export const probeSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('postgres'),
    host: z.string().min(1),
    port: z.number().int().min(1).max(65_535).default(5432),
    database: z.string().min(1),
    tls: z.boolean().default(true),
  }),
]);
export type Probe = z.infer<typeof probeSchema>;

export type RunProbe = (probe: Probe, value: Readonly<Record<string, unknown>>) => Promise<ProbeResult>;

/** Tries a value for real. Never throws for a value that does not work. */
export const runProbe: RunProbe = (probe, value) => {
  switch (probe.kind) {
    case 'postgres':
      return testPostgresLogin(probe, value);
  }
};
