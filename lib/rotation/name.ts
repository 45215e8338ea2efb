import * as z from 'zod';

/** Of a managed secret or a consumer. Names stand in paths and in policies: nothing in them may mean anything there. */
export const nameSchema = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'expected lower-case letters, digits and dashes, at most 63 characters',
  );
