import type * as z from 'zod';
import { approleSecretId } from './approle-secret-id.ts';
import { databaseRoot } from './database-root.ts';
import { databaseStatic } from './database-static.ts';
import { generated } from './generated.ts';
import { httpApiKey } from './http-api-key.ts';
import type { RotatorDependencies } from './kind.ts';
import { lease } from './lease.ts';
import { manual } from './manual.ts';
import { pki } from './pki.ts';
import type { Rotator } from './rotator.ts';
import { transitKey } from './transit-key.ts';

/** Every kind of managed secret. A new one is a file beside this one, and a line here. */
export const kinds = {
  lease,
  'database-static': databaseStatic,
  'database-root': databaseRoot,
  generated,
  'http-api-key': httpApiKey,
  pki,
  'approle-secret-id': approleSecretId,
  'transit-key': transitKey,
  manual,
} as const;

export type Kind = keyof typeof kinds;
export type KindSpecification = z.infer<(typeof kinds)[Kind]['schema']>;

/** The rotator of a kind by its name; undefined for a name that is none. */
export type RotatorOf = (kind: string) => Rotator<KindSpecification> | undefined;

/** Opens each kind when it is first asked for. */
export function openRotators(deps: RotatorDependencies): RotatorOf {
  const opened = new Map<string, Rotator<KindSpecification>>();
  return (name) => {
    if (!isKind(name)) return undefined;
    const known = opened.get(name);
    if (known !== undefined) return known;
    const rotator: Rotator<KindSpecification> = kinds[name].open(deps);
    opened.set(name, rotator);
    return rotator;
  };
}

function isKind(name: string): name is Kind {
  return Object.hasOwn(kinds, name);
}
