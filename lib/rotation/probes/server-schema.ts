import * as z from 'zod';
import { durationSchema } from '../duration.ts';
import { certificatesIn, readCertificate } from './pem.ts';

/** What one probe may take, from the connection to the answer's end, unless its `timeout` says otherwise. Milliseconds. */
export const DEFAULT_TIMEOUT_MS = 10_000;

/** A probe runs within one step of a rotation, and steps are taken over after two minutes. */
const LONGEST_TIMEOUT_MS = 60_000;

/** A host name or an address. */
export const hostSchema = z.string().min(1);
export const portSchema = z.number().int().min(1).max(65_535);
/** A field of the value. */
export const fieldSchema = z.string().min(1);

/** How long the whole probe may take. */
export const timeoutSchema = durationSchema
  .refine((ms) => ms > 0 && ms <= LONGEST_TIMEOUT_MS, 'expected more than nothing and at most 60s')
  .default(DEFAULT_TIMEOUT_MS);

/** Certificate authorities in PEM. Node passes over what it cannot read in one, and then nobody is trusted: that is said here. */
export const caSchema = z
  .string()
  .refine((pem) => certificatesIn(pem).length > 0, 'expected certificates in PEM')
  .refine(
    (pem) => certificatesIn(pem).every((one) => readCertificate(one) !== undefined),
    'expected certificates in PEM that can be read',
  );

/** Where a database is, and how it is proved to be that one. */
export const databaseServer = {
  host: hostSchema,
  /** The connection is encrypted and the server's certificate verified. Without it the password may be read on the way. */
  tls: z.boolean().default(true),
  /** The authorities to verify it by; default: Node's own. */
  ca: caSchema.optional(),
  timeout: timeoutSchema,
};

/** The fields of the value that a login takes. */
export const loginFields = {
  username_field: fieldSchema.default('username'),
  password_field: fieldSchema.default('password'),
};

/** `ca` without `tls` would be passed over in silence. */
export const caIsUsed = (server: { tls: boolean; ca?: string | undefined }): boolean =>
  server.tls || server.ca === undefined;
export const CA_UNUSED = { path: ['ca'], message: 'expected only with tls: true' };
