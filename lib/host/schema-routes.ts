import { createHash } from 'node:crypto';
import { RequestError } from '../access/problem.ts';
import { isNamedBy } from '../access/read.ts';
import type { NoticeSchema } from '../bus/event-schemas.ts';
import { type HttpAnswer, type HttpRequest, httpRoute, type OnAnswer } from './http-function.ts';
import type { OpenApiDocument } from './openapi/openapi.ts';

const LIST = '/v1/schemas';

/**
 * The JSON Schemas of what webhooks carry, and the description of all routes. Whoever asks may have them: they are documentation, and
 * Vault is not needed for them.
 */
export function schemaRoutes(onAnswer?: OnAnswer) {
  let made: ReadonlyMap<string, NoticeSchema> | undefined;
  let described: OpenApiDocument | undefined;
  // Not before somebody asks, and not loaded before: the function that serves them starts far more often for other routes.
  const schemas = async () => {
    const { noticeSchemas } = await import('../bus/event-schemas.ts');
    made ??= new Map(Object.entries(noticeSchemas()));
    return made;
  };
  const description = async () => {
    const { openApi } = await import('./openapi/openapi.ts');
    described ??= openApi();
    return described;
  };
  const route = (answerTo: (request: HttpRequest) => Promise<HttpAnswer>) =>
    httpRoute(async (request) => unlessKnown(request, await answerTo(request)), onAnswer);
  return [
    {
      method: 'GET' as const,
      path: '/openapi.json',
      handler: route(async () => ({ status: 200, body: await description() })),
    },
    { method: 'GET' as const, path: LIST, handler: route(async () => listOf(await schemas())) },
    {
      method: 'GET' as const,
      path: `${LIST}/{type}`,
      handler: route(async ({ parameters }) => oneOf(await schemas(), parameters.type ?? '')),
    },
  ];
}

function listOf(schemas: ReadonlyMap<string, NoticeSchema>): HttpAnswer {
  const listed = [...schemas].map(([type, { $id, description }]) => ({
    type,
    $id,
    description,
    path: `${LIST}/${type}`,
  }));
  return { status: 200, body: { schemas: listed } };
}

function oneOf(schemas: ReadonlyMap<string, NoticeSchema>, type: string): HttpAnswer {
  const schema = schemas.get(type);
  if (schema === undefined) {
    throw new RequestError(
      404,
      'schema_unknown',
      'There is no schema of that name.',
      `GET ${LIST} lists the types that have one.`,
    );
  }
  return { status: 200, headers: { 'content-type': 'application/schema+json' }, body: schema };
}

/** Gives an answer the tag of its content, and 304 to who has that already. Unlike all others, these answers may be kept. */
function unlessKnown(request: HttpRequest, answer: HttpAnswer): HttpAnswer {
  const hash = createHash('sha256').update(JSON.stringify(answer.body)).digest('base64url');
  const etag = `"${hash.slice(0, 22)}"`;
  const caching = { 'cache-control': 'public, max-age=3600', etag };
  if (isNamedBy(request.headers['if-none-match'], etag)) return { status: 304, headers: caching };
  return { ...answer, headers: { ...answer.headers, ...caching } };
}
