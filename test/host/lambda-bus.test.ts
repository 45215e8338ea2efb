import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { afterEach, describe, expect, it, vi } from 'vitest';
import * as z from 'zod';
import { cloudEventOf } from '../../lib/bus/cloud-event.ts';
import { detailOf } from '../../lib/bus/envelope.ts';
import { type Environment, readConfig } from '../../lib/host/config.ts';
import { lambdaBus } from '../../lib/host/lambda-bus.ts';
import { examples } from '../bus/examples.ts';
import { listening } from '../support/listening.ts';

const event = examples['secret.rotated'];
const requestSchema = z.object({
  Entries: z.tuple([z.object({ EventBusName: z.string(), Detail: z.string() })]),
});
const configOf = (environment: Environment) =>
  readConfig({
    VAULT_ADDR: 'https://vault.example.com:8200',
    LEASEKEEPER_APPROLE_FILE: '/x',
    ...environment,
  });

/** Publishes one event with AWS's own client to a server here; gives the entry as it arrived. */
async function sentWith(environment: Environment) {
  const requests: unknown[] = [];
  await using aws = await listening(
    createServer(async (request, response) => {
      requests.push(await json(request));
      response.setHeader('content-type', 'application/x-amz-json-1.1');
      response.end(JSON.stringify({ FailedEntryCount: 0, Entries: [{ EventId: 'aws-1' }] }));
    }),
  );
  vi.stubEnv('AWS_REGION', 'eu-central-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${aws.port}`);
  await lambdaBus(configOf({ LEASEKEEPER_BUS: 'the-bus', ...environment })).publish([event]);
  return requestSchema.parse(requests[0]).Entries[0];
}

describe('the bus of a function on Lambda', () => {
  afterEach(() => vi.unstubAllEnvs());

  it.each([
    [{}, detailOf(event)],
    [{ LEASEKEEPER_CLOUDEVENTS: 'false' }, detailOf(event)],
    [{ LEASEKEEPER_CLOUDEVENTS: 'true' }, cloudEventOf(event)],
  ])('has outcomes in the form that is configured: %j', async (environment, detail) => {
    expect(await sentWith(environment)).toEqual({
      EventBusName: 'the-bus',
      Detail: JSON.stringify(detail),
    });
  });

  it('must be named', () => {
    expect(() => lambdaBus(configOf({}))).toThrow(expect.objectContaining({ code: 'configuration_invalid' }));
  });
});
