import * as z from 'zod';
import { specificationSchema } from '../../rotation/specification.ts';
import { acknowledgementBody, managedListQuery, removeQuery, rotateQuery } from '../route-inputs.ts';
import type { ROUTES } from '../route-table.ts';
import { acknowledgedAnswer } from './answers.ts';
import { managedAnswer, managedListAnswer } from './managed-answers.ts';
import { AS_CALLER, type DescribedAnswer, type Operation, WITH_BODY } from './operation.ts';

type ManagedRoute = Extract<
  (typeof ROUTES.manage)[number],
  `${string} /v1/managed${string}` | `${string}/acks`
>;

/** As rotators/supplied-value.ts has it: any JSON, said shorter. */
const valueBody = z.strictObject({
  value: z.record(z.string().min(1), z.unknown()).describe('The fields of the secret.'),
});

const summary: DescribedAnswer = { description: 'The managed secret.', schema: managedAnswer };
const NAMED = [...AS_CALLER, 'name_invalid', 'managed_secret_unknown'] as const;
const ROTATABLE = [...NAMED, 'managed_secret_removed', 'managed_secret_paused'] as const;

/** The routes of `manage` for managed secrets. */
export const managedOperations: Readonly<Record<ManagedRoute, Operation>> = {
  'GET /v1/managed': {
    id: 'listManaged',
    tag: 'managed secrets',
    summary: 'Lists what is managed',
    description: 'A page may show fewer than `limit`: removed ones are left out of it.',
    query: managedListQuery,
    answers: { 200: { description: 'One page.', schema: managedListAnswer, example: { managed: [] } } },
    problems: [...AS_CALLER, 'parameter_invalid'],
  },
  'GET /v1/managed/{name}': {
    id: 'showManaged',
    tag: 'managed secrets',
    summary: 'Shows one, with its generations and history, never a value',
    answers: { 200: summary },
    problems: NAMED,
  },
  'PUT /v1/managed/{name}': {
    id: 'applyManaged',
    tag: 'managed secrets',
    summary: 'Creates one or changes its specification',
    description: 'With `If-None-Match: *` it is only created.',
    headers: ['if-none-match'],
    body: {
      schema: specificationSchema,
      also: ['application/yaml'],
      example: {
        name: 'api-gateway-database',
        kind: 'lease',
        source: 'database/creds/api-gateway',
        publish: 'api-gateway/database',
        token_role: 'leasekeeper-api-gateway-database',
        schedule: { every: '24h' },
        grace: '15m',
        deadline: '1h',
      },
    },
    answers: { 200: { ...summary, description: 'Changed.' }, 201: { ...summary, description: 'Created.' } },
    problems: [
      ...AS_CALLER,
      ...WITH_BODY,
      'name_invalid',
      'body_not_yaml',
      'specification_invalid',
      'managed_secret_exists',
    ],
  },
  'DELETE /v1/managed/{name}': {
    id: 'removeManaged',
    tag: 'managed secrets',
    summary: 'Has one managed no more',
    query: removeQuery,
    answers: { 202: { ...summary, description: 'It is no longer managed; a worker does the rest.' } },
    problems: [...NAMED, 'credentials_parameter_missing', 'parameter_invalid', 'managed_secret_removed'],
  },
  'POST /v1/managed/{name}/rotate': {
    id: 'rotateManaged',
    tag: 'managed secrets',
    summary: 'Rotates it now',
    query: rotateQuery,
    answers: { 202: { ...summary, description: 'Its rotation is due.' } },
    problems: [...ROTATABLE, 'parameter_invalid'],
  },
  'POST /v1/managed/{name}/pause': {
    id: 'pauseManaged',
    tag: 'managed secrets',
    summary: 'Nothing of it begins and nothing retires, until it is resumed',
    answers: { 200: summary },
    problems: [...NAMED, 'managed_secret_removed'],
  },
  'POST /v1/managed/{name}/resume': {
    id: 'resumeManaged',
    tag: 'managed secrets',
    summary: 'Takes back a pause',
    answers: { 200: summary },
    problems: [...NAMED, 'managed_secret_removed'],
  },
  'PUT /v1/managed/{name}/value': {
    id: 'supplyValue',
    tag: 'managed secrets',
    summary: 'Supplies the next value of one of kind `manual`',
    body: { schema: valueBody, example: { value: { api_key: '[secret]' } } },
    answers: { 202: { ...summary, description: 'Taken; its rotation is due.' } },
    problems: [...ROTATABLE, ...WITH_BODY, 'managed_secret_not_manual'],
  },
  'POST /v1/secrets/{name}/acks': {
    id: 'acknowledge',
    tag: 'secrets',
    summary: 'A consumer has adopted a generation of a managed secret',
    body: { schema: acknowledgementBody, example: { consumer: 'api-gateway', generation: 2 } },
    answers: {
      202: {
        description: 'Written; a worker is sent to look.',
        schema: acknowledgedAnswer,
        example: { name: 'api-gateway-database', consumer: 'api-gateway', generation: 2 },
      },
    },
    problems: [...AS_CALLER, ...WITH_BODY, 'name_invalid'],
  },
};
