import { main } from '../../../lib/cli/main.ts';

/** What a command said. */
export interface Told {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** The token in it: what nothing may ever say. */
export const CANARY = 'hvs.canary-3f61';

/** Runs one command line against an address, as somebody with a token. */
export async function told(
  url: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
  input?: string,
): Promise<Told> {
  const out: string[] = [];
  const error: string[] = [];
  const code = await main(args, {
    environment: { LEASEKEEPER_URL: url, VAULT_TOKEN: CANARY, ...more },
    out: (line) => out.push(line),
    error: (line) => error.push(line),
    ...(input === undefined ? {} : { input: async () => input }),
  });
  return { code, out: out.join('\n'), error: error.join('\n') };
}
