import * as z from 'zod';
import { durationSchema } from '../duration.ts';
import { caSchema, hostSchema, portSchema, timeoutSchema } from './server-schema.ts';

/**
 * A certificate and its key, as Vault's `pki/issue` answers them. Without `host` it is tried as a server's: a TLS server on this machine
 * shows it to a client that verifies it. With `host` it is tried as a client's, by that server, which must insist on one.
 */
export const tlsProbeSchema = z
  .strictObject({
    kind: z.literal('tls'),
    /** A server that asks its clients for a certificate. */
    host: hostSchema.optional(),
    port: portSchema.optional(),
    /** The name that the server's certificate must be for; default: `host`, or the first name in the certificate itself. */
    server_name: z.string().min(1).optional(),
    /** The authorities that the client trusts, in PEM; default: with `host` Node's own, else those that came with the certificate. */
    ca: caSchema.optional(),
    /** How long the certificate must still be valid. */
    valid_for: durationSchema.default(0),
    timeout: timeoutSchema,
  })
  .refine(({ host, port }) => (host === undefined) === (port === undefined), {
    path: ['port'],
    message: 'expected host and port, or neither',
  });
export type TlsProbe = z.infer<typeof tlsProbeSchema>;
