import { codeOf, LeasekeeperError } from '../errors.ts';
import type { Value } from '../rotation/rotators/rotator.ts';
import { suppliedValueSchema } from '../rotation/rotators/supplied-value.ts';
import { type CliIo, sourceOf } from './io.ts';

/**
 * Reads a secret's fields as JSON. Not as YAML, which would read some passwords as numbers or dates. Throws `supplied_value_unreadable`,
 * which never shows what was read.
 */
export async function readValue(io: CliIo, file: string): Promise<Value> {
  const { name, text } = sourceOf(io, file);
  const written = await text().catch((error: unknown) => {
    throw unreadable(name, `cannot be read (${codeOf(error)})`);
  });
  const parsed = suppliedValueSchema.safeParse(parse(name, written));
  if (parsed.success) return parsed.data;
  throw unreadable(name, `will not do: ${parsed.error.issues.map(({ message }) => message).join('; ')}`);
}

/** The parser's own error quotes the text: it is left out, cause and all. */
function parse(name: string, written: string): unknown {
  try {
    return JSON.parse(written);
  } catch {
    throw unreadable(name, 'is not JSON');
  }
}

function unreadable(name: string, what: string): LeasekeeperError {
  return new LeasekeeperError('supplied_value_unreadable', `The value in ${name} ${what}.`, {
    hint: 'Give the fields of the secret as one JSON object, such as {"api_key": "…"}.',
  });
}
