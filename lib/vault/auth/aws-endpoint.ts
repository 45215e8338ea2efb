import * as z from 'zod';
import type { AwsCredentials } from './aws-credentials.ts';

/** Where to ask AWS, and as whom. */
export interface AwsOptions {
  /** AWS_REGION. */
  readonly region: string;
  /** Another address of the service, such as that of a VPC endpoint. */
  readonly endpoint?: string | undefined;
  /** AWS's default chain when left out; any of AWS's own providers will do. Asked for each request. */
  readonly credentials?: () => Promise<AwsCredentials>;
}

/** What of such options is text. A region becomes a part of a host name. */
export const awsAddressSchema = z.object({
  region: z
    .string()
    .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, 'expected the name of a region')
    .optional(),
  endpoint: z.url({ protocol: /^https?$/ }).optional(),
});

/** The domains of AWS's partitions, by how their regions begin, as in the SDK's own table. All others: amazonaws.com. */
const DOMAINS: readonly (readonly [prefix: string, domain: string])[] = [
  ['cn-', 'amazonaws.com.cn'],
  ['eusc-', 'amazonaws.eu'],
  ['us-iso-', 'c2s.ic.gov'],
  ['us-isob-', 'sc2s.sgov.gov'],
  ['us-isof-', 'csp.hci.ic.gov'],
  ['eu-isoe-', 'cloud.adc-e.uk'],
];

/** The public address of a service in a region. */
export function regionalEndpoint(service: string, region: string): URL {
  const domain = DOMAINS.find(([prefix]) => region.startsWith(prefix))?.[1] ?? 'amazonaws.com';
  return new URL(`https://${service}.${region}.${domain}/`);
}
