import * as z from 'zod';
import type { Deployment } from './deployment-world.ts';

/** What the functions of a stack have written. */
export interface Logs {
  /** Names of its log groups. */
  groups(): Promise<readonly string[]>;
  /** All lines of a group, in their order. */
  linesOf(group: string): Promise<readonly string[]>;
  /** The lines of a function that are JSON objects. */
  entriesOf(name: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
}

const groupsSchema = z.object({ logGroups: z.array(z.object({ logGroupName: z.string() })).default([]) });
const eventsSchema = z.object({
  events: z.array(z.object({ message: z.string() })).default([]),
  nextToken: z.string().optional(),
});
const entrySchema = z.record(z.string(), z.unknown());

export function logsOf({ aws: { client }, stack }: Deployment): Logs {
  const logs: Logs = {
    groups: async () => {
      const answer = await client.json(groupsSchema, 'logs', 'Logs_20140328.DescribeLogGroups', {});
      return answer.logGroups.map(({ logGroupName }) => logGroupName).filter((name) => name.includes(stack));
    },
    linesOf: async (logGroupName) => {
      const lines: string[] = [];
      let nextToken: string | undefined;
      do {
        const asked = { logGroupName, limit: 10_000, ...(nextToken === undefined ? {} : { nextToken }) };
        const page = await client.json(eventsSchema, 'logs', 'Logs_20140328.FilterLogEvents', asked);
        lines.push(...page.events.flatMap(({ message }) => message.split('\n')));
        nextToken = page.nextToken;
      } while (nextToken !== undefined);
      return lines;
    },
    entriesOf: async (name) => {
      const lines = await logs.linesOf(`/aws/lambda/${stack}-${name}`);
      return lines.flatMap((line) => {
        // MiniStack may put words of its own before a line.
        const at = line.indexOf('{');
        if (at === -1) return [];
        try {
          return [entrySchema.parse(JSON.parse(line.slice(at)))];
        } catch {
          return [];
        }
      });
    },
  };
  return logs;
}
