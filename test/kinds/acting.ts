import { ulid } from 'ulid';
import { LeasekeeperError } from '../../lib/errors.ts';
import type { Kind, KindSpecification } from '../../lib/rotation/rotators/kinds.ts';
import type { Attempt, Rotator } from '../../lib/rotation/rotators/rotator.ts';
import { type SpecificationInput, specificationSchema } from '../../lib/rotation/specification.ts';
import { authAnswer } from '../../lib/vault/tokens.ts';
import { adminOf, uniqueName } from '../support/admin.ts';
import { openWorld, type World } from '../support/world.ts';

/** A rotator by itself, without the engine around it. */
export function rotatorIn(world: World, kind: Kind): Rotator<KindSpecification> {
  const rotator = world.rotate.rotatorOf(kind);
  if (rotator === undefined) throw new LeasekeeperError('test_no_kind', `There is no kind ${kind}.`);
  return rotator;
}

/** A first attempt at what is specified so. */
export function attemptAt(input: SpecificationInput): Attempt<KindSpecification> {
  return firstAttempt(specificationSchema.parse(input));
}

/** The same of a specification that is read already. */
export function firstAttempt<Spec>(spec: Spec): Attempt<Spec> {
  return {
    id: ulid(),
    generation: 1,
    spec,
    current: undefined,
    retiring: [],
    urgent: false,
    assertClaimed: () => {},
  };
}

export interface Rule {
  readonly path: string;
  readonly capabilities: readonly string[];
}

/** The same world, by somebody who may do no more than these rules say. */
export async function allowedOnly(world: World, rules: readonly Rule[]): Promise<World> {
  const { request, read } = adminOf(world);
  const policy = uniqueName('only');
  const lines = rules.map(
    ({ path, capabilities }) => `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }`,
  );
  await request('PUT', `sys/policies/acl/${policy}`, { policy: lines.join('\n') });
  const body = { policies: [policy], no_default_policy: true, ttl: '5m' };
  const { auth } = await read(authAnswer, 'POST', 'auth/token/create-orphan', body);
  return openWorld({ ...world, rootToken: auth.client_token });
}

/** Each list of rules that lacks one capability, with what it lacks. */
export function eachWithoutOne(rules: readonly Rule[]): readonly (readonly [string, readonly Rule[]])[] {
  return rules.flatMap((rule) =>
    rule.capabilities.map((capability) => {
      const left = { ...rule, capabilities: rule.capabilities.filter((one) => one !== capability) };
      const kept = left.capabilities.length === 0 ? [] : [left];
      return [`${capability} ${rule.path}`, rules.flatMap((one) => (one === rule ? kept : [one]))] as const;
    }),
  );
}
