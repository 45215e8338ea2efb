import {
  type Specification,
  type SpecificationInput,
  specificationSchema,
} from '../../lib/rotation/specification.ts';

/** A specification of kind `lease`, with changes. */
export function specified(
  changes: Partial<Extract<SpecificationInput, { kind: 'lease' }>> = {},
): Specification {
  return specificationSchema.parse({
    kind: 'lease',
    name: 'app-database',
    source: 'database/creds/app',
    publish: 'app/database',
    token_role: 'leasekeeper-app',
    grace: '10m',
    deadline: '1h',
    ...changes,
  });
}
