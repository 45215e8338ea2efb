import * as z from 'zod';
import { replaySchema } from '../../notices/replay.ts';
import { newSubscriptionSchema, subscriptionChangesSchema } from '../../notices/subscription-changes.ts';
import { limitField } from '../query.ts';
import { noticesQuery, rotateSecretQuery, subscriptionListQuery } from '../route-inputs.ts';
import type { ROUTES } from '../route-table.ts';
import { AS_CALLER, type DescribedAnswer, type Operation, type ProblemCode, WITH_BODY } from './operation.ts';
import {
  noticesAnswer,
  replayAnswer,
  subscriptionAnswer,
  subscriptionListAnswer,
  subscriptionWithSecretAnswer,
  testAnswer,
} from './subscription-answers.ts';

type SubscriptionRoute = Extract<(typeof ROUTES.manage)[number], `${string} /v1/subscriptions${string}`>;

/** As route-inputs.ts has it: what to replay, and where to go on. */
const page = { after: z.string().max(128).optional(), limit: limitField };
const replayBody = z.union(
  replaySchema.options.map((option) => z.strictObject({ ...option.shape, ...page })),
);

const shown = {
  id: 'api-gateway:01KAM5Q8W3Y6Z2T4R7N9P0B1CD',
  consumer: 'api-gateway',
  url: 'https://hooks.example.com/leasekeeper',
  types: ['secret.*'],
  names: ['*'],
  secrets: [{}],
  created: '2026-11-21T20:00:00.000Z',
};
const one: DescribedAnswer = {
  description: 'The subscription, without its secrets.',
  schema: subscriptionAnswer,
  example: shown,
};
const withSecret: DescribedAnswer = {
  description: 'With its new signing secret, shown this once.',
  schema: subscriptionWithSecretAnswer,
  example: { ...shown, secret: '[secret]' },
};
const NAMED: readonly ProblemCode[] = [...AS_CALLER, 'subscription_id_invalid', 'subscription_unknown'];
const CHANGED: readonly ProblemCode[] = [...NAMED, 'subscription_contended'];

/** The routes of `manage` for subscriptions. */
export const subscriptionOperations: Readonly<Record<SubscriptionRoute, Operation>> = {
  'POST /v1/subscriptions': {
    id: 'createSubscription',
    tag: 'subscriptions',
    summary: 'Has notices sent to an endpoint',
    body: {
      schema: newSubscriptionSchema,
      example: { consumer: 'api-gateway', url: shown.url, types: shown.types },
    },
    answers: { 201: withSecret },
    problems: [
      ...AS_CALLER,
      ...WITH_BODY,
      'endpoint_refused',
      'subscription_exists',
      'subscriptions_full',
      'subscription_contended',
    ],
  },
  'GET /v1/subscriptions': {
    id: 'listSubscriptions',
    tag: 'subscriptions',
    summary: 'Lists those of one consumer, or everybody’s',
    query: subscriptionListQuery,
    answers: {
      200: { description: 'One page.', schema: subscriptionListAnswer, example: { subscriptions: [shown] } },
    },
    problems: [...AS_CALLER, 'parameter_invalid'],
  },
  'GET /v1/subscriptions/{id}': {
    id: 'showSubscription',
    tag: 'subscriptions',
    summary: 'Shows one',
    answers: { 200: one },
    problems: NAMED,
  },
  'PATCH /v1/subscriptions/{id}': {
    id: 'changeSubscription',
    tag: 'subscriptions',
    summary: 'Changes what is named, and leaves the rest',
    body: { schema: subscriptionChangesSchema, example: { types: ['lease.*'], batch: null } },
    answers: { 200: one },
    problems: [...CHANGED, ...WITH_BODY, 'endpoint_refused'],
  },
  'DELETE /v1/subscriptions/{id}': {
    id: 'deleteSubscription',
    tag: 'subscriptions',
    summary: 'Ends it',
    answers: { 204: { description: 'It is gone.' } },
    problems: NAMED,
  },
  'POST /v1/subscriptions/{id}/disable': {
    id: 'disableSubscription',
    tag: 'subscriptions',
    summary: 'Nothing is sent, until it is enabled',
    answers: { 200: one },
    problems: CHANGED,
  },
  'POST /v1/subscriptions/{id}/enable': {
    id: 'enableSubscription',
    tag: 'subscriptions',
    summary: 'Notices are sent again, whoever disabled it',
    answers: { 200: one },
    problems: CHANGED,
  },
  'POST /v1/subscriptions/{id}/rotate-secret': {
    id: 'rotateSigningSecret',
    tag: 'subscriptions',
    summary: 'Makes a new signing secret; the old one signs too for `overlap`',
    query: rotateSecretQuery,
    answers: { 200: withSecret },
    problems: [...CHANGED, 'parameter_invalid'],
  },
  'POST /v1/subscriptions/{id}/test': {
    id: 'testSubscription',
    tag: 'subscriptions',
    summary: 'Sends a test',
    answers: { 202: { description: 'It is on its way.', schema: testAnswer } },
    problems: [...NAMED, 'subscription_disabled'],
  },
  'POST /v1/subscriptions/{id}/replay': {
    id: 'replayNotices',
    tag: 'subscriptions',
    summary: 'Sends notices again',
    body: { schema: replayBody, example: { failed: true } },
    answers: { 202: { description: 'They are on their way.', schema: replayAnswer } },
    problems: [...NAMED, ...WITH_BODY, 'subscription_disabled', 'event_unknown'],
  },
  'GET /v1/subscriptions/{id}/notices': {
    id: 'listNotices',
    tag: 'subscriptions',
    summary: 'Its notices, with their attempts',
    query: noticesQuery,
    answers: { 200: { description: 'One page; an empty one may have a next.', schema: noticesAnswer } },
    problems: [...NAMED, 'parameter_invalid', 'place_in_log_invalid'],
  },
};
