import { inject } from 'vitest';
import * as z from 'zod';
import { generationMetadata } from '../../../lib/vault/published-generation.ts';
import { admin } from '../../support/admin.ts';
import type { Ground } from './ground.ts';

const versionSchema = z.object({ data: z.object({ version: z.number() }) });

/** A path in KV to which generations of a managed secret are published, in the two writes in which Leasekeeper does it. */
export function publishedAt({ namespace }: Ground, name: string) {
  const { read, request } = admin(inject);
  const within = (part: string) => `${namespace}/inference-service/${part}/${name}`;
  const write = async (data: object) =>
    (await read(versionSchema, 'PUT', within('data'), { data })).data.version;
  /** Says which generation a version holds. */
  const stamp = async (generation: number, version: number) => {
    const metadata = generationMetadata(name, generation, version);
    const set = Object.entries(metadata).filter(([, value]) => value !== null);
    const known = (await read(metadataSchema, 'GET', within('metadata'))).data.custom_metadata ?? {};
    await request('POST', within('metadata'), { custom_metadata: { ...known, ...Object.fromEntries(set) } });
  };
  return {
    path: `inference-service/${name}`,
    write,
    stamp,
    publish: async (generation: number) => stamp(generation, await write({ key: `g${generation}` })),
    destroy: (version: number) => request('PUT', within('destroy'), { versions: [version] }),
  };
}

const metadataSchema = z.object({
  data: z.object({ custom_metadata: z.record(z.string(), z.string()).nullish() }),
});
