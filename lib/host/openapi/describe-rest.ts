import * as z from 'zod';
import type { ROUTES, RouteKey } from '../route-table.ts';
import { healthAnswer, lifeAnswer, readinessAnswer, schemaListAnswer } from './answers.ts';
import type { Operation } from './operation.ts';

type RestRoute =
  | (typeof ROUTES.local)[number]
  | Extract<RouteKey, `${string} /v1/schemas${string}` | `${string}/openapi.json`>;

const anyDocument = z.record(z.string(), z.unknown());
const UNCHANGED = { description: 'It is the one that `If-None-Match` names.', headers: ['etag'] } as const;

/** The routes that ask nobody who they are. */
export const restOperations: Readonly<Record<RestRoute, Operation>> = {
  'GET /v1/schemas': {
    id: 'listSchemas',
    tag: 'documents',
    summary: 'The types of notices',
    open: true,
    headers: ['if-none-match'],
    answers: {
      200: { description: 'All of them.', schema: schemaListAnswer, headers: ['etag'] },
      304: UNCHANGED,
    },
    problems: [],
  },
  'GET /v1/schemas/{type}': {
    id: 'showSchema',
    tag: 'documents',
    summary: 'The JSON Schema of one type of notice',
    open: true,
    headers: ['if-none-match'],
    answers: {
      200: {
        description: 'A JSON Schema, draft 2020-12.',
        schema: anyDocument,
        type: 'application/schema+json',
        headers: ['etag'],
      },
      304: UNCHANGED,
    },
    problems: ['schema_unknown'],
  },
  'GET /openapi.json': {
    id: 'showDescription',
    tag: 'documents',
    summary: 'This document',
    open: true,
    headers: ['if-none-match'],
    answers: {
      200: { description: 'An OpenAPI document.', schema: anyDocument, headers: ['etag'] },
      304: UNCHANGED,
    },
    problems: [],
  },
  'GET /healthz': {
    id: 'showHealth',
    tag: 'process',
    summary: 'Whether scans succeed',
    description: 'Only of the one-process host.',
    open: true,
    answers: {
      200: {
        description: 'They do.',
        schema: healthAnswer,
        example: { status: 'ok', seconds_since_scan: 12 },
      },
      503: {
        description: 'They do not.',
        schema: healthAnswer,
        example: { status: 'failing', seconds_since_scan: 300 },
      },
    },
    problems: [],
  },
  'GET /livez': {
    id: 'showLife',
    tag: 'process',
    summary: 'Whether the process should be left running',
    description: 'Only of the one-process host. It does not depend on Vault.',
    open: true,
    answers: {
      200: { description: 'It should.', schema: lifeAnswer, example: { status: 'ok' } },
      503: { description: 'Its schedule stands still.', schema: lifeAnswer, example: { status: 'stuck' } },
    },
    problems: [],
  },
  'GET /readyz': {
    id: 'showReadiness',
    tag: 'process',
    summary: 'Whether callers should be sent here',
    description: 'Only of the one-process host. From the first scan that succeeded until it is told to end.',
    open: true,
    answers: {
      200: { description: 'They should.', schema: readinessAnswer, example: { status: 'ok' } },
      503: {
        description: 'No scan has succeeded yet, or it is ending.',
        schema: readinessAnswer,
        example: { status: 'starting' },
      },
    },
    problems: [],
  },
  'GET /metrics': {
    id: 'showMetrics',
    tag: 'process',
    summary: 'Metrics for Prometheus',
    description: 'Only of the one-process host.',
    open: true,
    answers: { 200: { description: 'Text, version 0.0.4.', schema: z.string(), type: 'text/plain' } },
    problems: [],
  },
};
