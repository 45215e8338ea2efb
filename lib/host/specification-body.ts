import { RequestError } from '../access/problem.ts';
import {
  readSpecification,
  type SpecificationFault,
  type WrittenSpecification,
} from '../rotation/specification-faults.ts';
import type { HttpRequest } from './http-function.ts';
import { checkShape, jsonIn, mediaTypeOf } from './json-body.ts';

const YAML_TYPES = ['application/yaml', 'application/x-yaml', 'text/yaml', 'text/x-yaml'];

/**
 * The specification in a body: JSON, or YAML where content-type says so. Throws RequestError `content_type_unsupported`, `body_not_json`,
 * `body_not_yaml`, `body_too_deep`, and `specification_invalid` with one entry of `errors` for each fault.
 */
export async function specificationIn(request: HttpRequest, name: string): Promise<WrittenSpecification> {
  const read = readSpecification(isYaml(request) ? await fromYaml(request) : fromJson(request));
  if (!read.ok) throw invalid(read.faults);
  if (read.written.spec.name !== name) {
    throw invalid([{ field: 'name', message: `expected ${name}, as the path has it` }]);
  }
  return read.written;
}

function isYaml(request: HttpRequest): boolean {
  const type = mediaTypeOf(request);
  return type !== undefined && YAML_TYPES.includes(type);
}

function fromJson(request: HttpRequest): unknown {
  return jsonIn(request, 'Send a JSON object, or YAML with content-type application/yaml.');
}

/** Only where it is wrong is told: a parser's own message quotes the text. */
async function fromYaml({ body = '' }: HttpRequest): Promise<unknown> {
  // Loaded when somebody sends YAML: most requests have none.
  const value = parsedYaml(await import('./yaml.ts'), body);
  checkShape(value);
  return value;
}

function parsedYaml({ parseDocument }: typeof import('./yaml.ts'), text: string): unknown {
  try {
    const document = parseDocument(text);
    const [error] = document.errors;
    if (error !== undefined) throw notYaml(error.linePos?.[0].line);
    return document.toJS();
  } catch (error) {
    // Aliases that would grow without end, or more levels than the parser can go down.
    throw error instanceof RequestError ? error : notYaml(undefined);
  }
}

function notYaml(line: number | undefined): RequestError {
  return new RequestError(
    400,
    'body_not_yaml',
    `The body is not one YAML document${line === undefined ? '' : `: see line ${line}`}.`,
    'Send one specification.',
  );
}

function invalid(faults: readonly SpecificationFault[]): RequestError {
  return new RequestError(
    422,
    'specification_invalid',
    `The specification will not do: ${faults.map(({ field, message }) => `${field}: ${message}`).join('; ')}.`,
    'Correct the fields named. Nothing was changed.',
    { errors: faults },
  );
}
