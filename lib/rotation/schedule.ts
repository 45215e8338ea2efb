import { Cron } from 'croner';
import type { Specification } from './specification.ts';

/** When a rotation is due by itself, in milliseconds; after `closes` it has missed its window and waits for the next. */
export interface Appointment {
  readonly due: number;
  readonly closes?: number;
}

/** One generation, as far as its schedule is concerned. Milliseconds. */
export interface Lifetime {
  readonly since: number;
  /** When it ends whatever anybody does. */
  readonly endsAt?: number | undefined;
  /** The TTL it was issued with. */
  readonly ttlMs?: number | undefined;
}

/** Of `every` and of a fraction, up to this share is taken off, so that secrets that began together do not stay together. */
const SPREAD = 0.05;
/** Whatever the schedule says, a generation that ends by itself is replaced at this share of its life. */
const LATEST_SHARE = 0.9;
/** The schedule of a generation that ends by itself and has none. */
const DEFAULT_SHARE = 2 / 3;

/**
 * When the secret whose generation lives so rotates next; undefined when nothing says so. `spread` is from 0 to 1, the same for one name
 * on every machine.
 */
export function appointment(spec: Specification, life: Lifetime, spread: number): Appointment | undefined {
  const scheduled = bySchedule(spec, life, spread);
  const latest = byItsEnd(spec, life, spread);
  if (latest === undefined) return scheduled;
  return scheduled === undefined || latest < scheduled.due ? { due: latest } : scheduled;
}

/** The next opening of a cron schedule's window after `from`; undefined for the other schedules. */
export function nextWindow(spec: Specification, from: number, spread: number): Appointment | undefined {
  const { schedule } = spec;
  if (schedule === undefined || !('cron' in schedule)) return undefined;
  const opens = new Cron(schedule.cron, { timezone: 'UTC', paused: true }).nextRun(new Date(from))?.getTime();
  if (opens === undefined) return undefined;
  return { due: Math.floor(opens + schedule.window * spread), closes: opens + schedule.window };
}

function bySchedule(spec: Specification, life: Lifetime, spread: number): Appointment | undefined {
  const { schedule } = spec;
  if (schedule === undefined) return undefined;
  if ('every' in schedule) return { due: early(life.since, schedule.every, spread) };
  if ('cron' in schedule) return nextWindow(spec, life.since, spread);
  const ttl = ttlOf(life);
  return ttl === undefined ? undefined : { due: early(life.since, ttl * schedule.fraction, spread) };
}

function byItsEnd(spec: Specification, life: Lifetime, spread: number): number | undefined {
  if (life.endsAt === undefined) return undefined;
  const share = spec.schedule === undefined ? DEFAULT_SHARE : LATEST_SHARE;
  return early(life.since, (life.endsAt - life.since) * share, spread);
}

function ttlOf({ ttlMs, endsAt, since }: Lifetime): number | undefined {
  return ttlMs ?? (endsAt === undefined ? undefined : endsAt - since);
}

function early(from: number, after: number, spread: number): number {
  return Math.floor(from + after * (1 - SPREAD * spread));
}
