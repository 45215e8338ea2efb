import * as z from 'zod';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration as Vault writes it (`90s`, `1h30m`, `7d`), read as milliseconds. */
export const durationSchema = z
  .string()
  .regex(/^(\d+(ms|s|m|h|d))+$/, 'expected a duration such as 90s, 15m, 1h30m or 7d')
  .transform((text) =>
    [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)].reduce(
      (sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? 's'] ?? 0),
      0,
    ),
  );
