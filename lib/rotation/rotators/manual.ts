import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';
import type { KvStore } from '../../vault/kv-store.ts';
import { publishedFields } from '../specification-fields.ts';
import { rotatorKind } from './kind.ts';
import { destroyPublished, destroyRight, inspectPublished } from './published-version.ts';
import type { Value } from './rotator.ts';
import { suppliedFolder, suppliedIds, suppliedPath, suppliedValueIn } from './supplied-value.ts';

const schema = z.strictObject({
  kind: z.literal('manual'),
  ...publishedFields,
  /**
   * What retiring a generation does. Whoever issued the value does not learn of it either way; `destroy` sees to it that no reader gets
   * it any more, `nothing` leaves it in KV.
   */
  revoke_by: z.enum(['destroy', 'nothing']).default('destroy'),
});

/** `revoke_by` as it was when the generation was made: retiring knows no specification. */
const handleOfSupplied = z.object({ supplied: z.string(), revoke_by: z.enum(['destroy', 'nothing']) });

const DAY_MS = 86_400_000;

/**
 * A person supplies the value. What was supplied last is taken; everything up to it is deleted once it is recorded and waits at the
 * pending path. What is supplied later stays for the next rotation.
 */
export const manual = rotatorKind({
  schema,
  begins: 'when_asked',
  // Supplied values are in the state mount, where rotate may read, list and delete them of every secret.
  rights: ({ publish, revoke_by }) => ({ rotate: revoke_by === 'destroy' ? [destroyRight(publish)] : [] }),
  open: (deps) => ({
    create: async ({ spec }) => {
      const { id, value } = await newestSupplied(deps.store, spec.name);
      return { handle: { supplied: id, revoke_by: spec.revoke_by }, value };
    },
    keep: async ({ spec }, handle) => {
      await deleteSupplied(deps.store, spec.name, handleOfSupplied.parse(handle).supplied);
      return true;
    },
    revoke: async (ended) => {
      if (handleOfSupplied.parse(ended.handle).revoke_by === 'destroy') await destroyPublished(deps, ended);
    },
    inspect: (_spec, current) => inspectPublished(deps, current),
  }),
});

/** Documents that hold nothing any more are passed over: somebody took back what they had supplied. */
async function newestSupplied(store: KvStore, name: string): Promise<{ id: string; value: Value }> {
  for (const id of suppliedIds(await store.list(suppliedFolder(name)))) {
    const { entry } = await store.read(suppliedPath(name, id));
    if (entry !== undefined) return { id, value: valueIn(entry.data) };
  }
  throw askedOfPeople(
    new LeasekeeperError('manual_value_missing', `Nobody has supplied a value for ${name}.`, {
      hint: `Supply one with "leasekeeper supply ${name}" or PUT /v1/managed/${name}/value; it is taken at once.`,
    }),
  );
}

function valueIn(data: unknown): Value {
  try {
    return suppliedValueIn(data);
  } catch (error) {
    throw error instanceof LeasekeeperError ? askedOfPeople(error) : error;
  }
}

/** Only a person can mend it, who has a rotation begin by doing so: until then a reminder a day is enough. */
function askedOfPeople(error: LeasekeeperError): LeasekeeperError {
  return Object.assign(error, { retryAfterMs: DAY_MS });
}

/** Never what was supplied after `upTo`. */
async function deleteSupplied(store: KvStore, name: string, upTo: string): Promise<void> {
  const ids = suppliedIds(await store.list(suppliedFolder(name)));
  const used = ids.filter((id) => id <= upTo);
  // Oldest first: a worker that dies on the way leaves nothing behind that is older than what it used.
  for (const id of used.toReversed()) await store.deleteMetadata(suppliedPath(name, id));
}
