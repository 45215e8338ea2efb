import type * as z from 'zod';
import type { RotatorDependencies } from './kind.ts';
import { lease } from './lease.ts';
import type { Rotator } from './rotator.ts';

/** Every kind of managed secret. A new one is a file beside this one, and a line here. */
export const kinds = {
  lease,
} as const;

export type Kind = keyof typeof kinds;
export type KindSpecification = z.infer<(typeof kinds)[Kind]['schema']>;
export type KindSpecificationInput = z.input<(typeof kinds)[Kind]['schema']>;

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
