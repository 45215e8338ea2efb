import * as z from 'zod';
import type { Environment } from '../../../lib/host/local/cache-folder.ts';
import { type PythonMissing, pythonWith } from '../python-package.ts';

/** AWS's own events: what `sam local generate-event` prints, from the package of AWS's SAM CLI. */
const SAM_CLI = {
  name: 'aws_sam_cli',
  version: '1.170.0',
  sha256: '24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf',
  module: 'samcli',
};

const NAMES = [
  'sqs receive-message',
  'apigateway http-api-proxy',
  'apigateway aws-proxy',
  'cloudwatch scheduled-event',
  's3 put',
  'sns notification',
] as const;

const documentsSchema = z.record(z.enum(NAMES), z.record(z.string(), z.unknown()));
export type EventDocuments = z.infer<typeof documentsSchema>;

/** Fills in the templates of the package with its own defaults; without the command itself, which needs many other packages. */
const PROGRAM = `
import base64, hashlib, json, pathlib, re, sys
import samcli
folder = pathlib.Path(samcli.__file__).parent / 'lib/generated_sample_events'
mapping = json.loads((folder / 'event-mapping.json').read_text())
def filled(service, event):
    wanted = mapping[service][event]
    template = (folder / 'events' / service / (wanted['filename'] + '.json')).read_text()
    values = {}
    for tag, about in wanted['tags'].items():
        value = about.get('default', '')
        key = tag.replace('-', '_')
        values[key] = json.dumps(value)[1:-1]
        if about.get('type') == 'dict':
            template = template.replace('"{{{' + key + '}}}"', value)
        if about.get('encoding') == 'base64':
            values[key] = base64.b64encode(value.encode()).decode()
        for child in about.get('children', {}):
            values[child] = hashlib.md5(value.encode()).hexdigest()
    return json.loads(re.sub(r'{{{?(\\w+)}?}}', lambda found: values.get(found[1], ''), template))
print(json.dumps({name: filled(*name.split(' ')) for name in sys.argv[1:]}))
`;

/** The documents by the arguments that the command has for them, or why they cannot be had here. */
export async function awsEventDocuments(env: Environment): Promise<EventDocuments | PythonMissing> {
  const python = await pythonWith(SAM_CLI, env);
  if ('missing' in python) return python;
  return documentsSchema.parse(JSON.parse(await python(PROGRAM, ...NAMES)));
}

/** A batch of a queue, of AWS's message as often as there are bodies; their ids are `message-1` and so on. */
export function queueEvent(documents: EventDocuments, bodies: readonly string[]): object {
  const { Records } = z
    .object({ Records: z.array(z.record(z.string(), z.unknown())) })
    .parse(documents['sqs receive-message']);
  return {
    Records: bodies.map((body, index) => ({ ...Records[0], messageId: `message-${index + 1}`, body })),
  };
}

export interface HttpEventRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly pathParameters?: Readonly<Record<string, string>>;
  /** Sent as JSON, in base64 as the document has its own. */
  readonly body?: unknown;
}

/** AWS's HTTP event (payload format 2.0) for one request of ours: with cookies, a parameter that comes twice, and a body in base64. */
export function httpEvent(documents: EventDocuments, request: HttpEventRequest): object {
  const document = z
    .looseObject({
      headers: z.record(z.string(), z.string()),
      requestContext: z.looseObject({ http: z.looseObject({}) }),
    })
    .parse(documents['apigateway http-api-proxy']);
  const { body: _, pathParameters: __, ...rest } = document;
  const http = { ...document.requestContext.http, method: request.method, path: request.path };
  return {
    ...rest,
    rawPath: request.path,
    headers: { ...document.headers, ...request.headers },
    requestContext: { ...document.requestContext, http },
    ...(request.pathParameters === undefined ? {} : { pathParameters: request.pathParameters }),
    ...(request.body === undefined
      ? { isBase64Encoded: false }
      : { body: Buffer.from(JSON.stringify(request.body)).toString('base64') }),
  };
}

/**
 * What EventBridge Scheduler calls a function with when the schedule has no input of its own (EventBridge Scheduler User Guide, "Adding
 * context attributes"; its default event has `detail` as text).
 */
export const SCHEDULED_EVENT = {
  version: '0',
  id: '8c3a9a1e-2a4b-4f6e-9a38-4b7a4f0d2b11',
  'detail-type': 'Scheduled Event',
  source: 'aws.scheduler',
  account: '123456789012',
  time: '2026-11-21T12:00:00Z',
  region: 'eu-central-1',
  resources: ['arn:aws:scheduler:eu-central-1:123456789012:schedule/default/leasekeeper-test-scan'],
  detail: '{}',
};
