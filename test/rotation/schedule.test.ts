import { describe, expect, it } from 'vitest';
import { spreadOf } from '../../lib/agenda/shard-of.ts';
import { appointment, nextWindow } from '../../lib/rotation/schedule.ts';
import { specified } from './specifications.ts';

const HOUR = 3_600_000;
const since = Date.parse('2026-11-21T12:30:00Z');

describe('appointment', () => {
  it('is never without a schedule, for a generation that does not end by itself', () => {
    expect(appointment(specified(), { since }, 0)).toBeUndefined();
    expect(appointment(specified(), { since, ttlMs: HOUR }, 0)).toBeUndefined();
  });

  it('counts `every` from the last rotation, earlier by the spread', () => {
    const spec = specified({ schedule: { every: '10h' } });
    expect(appointment(spec, { since }, 0)).toEqual({ due: since + 10 * HOUR });
    expect(appointment(spec, { since }, 1)).toEqual({ due: since + 9.5 * HOUR });
  });

  it('takes a fraction of the TTL that was granted', () => {
    const spec = specified({ schedule: { fraction: 0.5 } });
    expect(appointment(spec, { since, ttlMs: HOUR }, 0)).toEqual({ due: since + HOUR / 2 });
    expect(appointment(spec, { since }, 0)).toBeUndefined();
  });

  it('replaces what ends by itself at two thirds of its life', () => {
    expect(appointment(specified(), { since, endsAt: since + 9 * HOUR }, 0)).toEqual({
      due: since + 6 * HOUR,
    });
  });

  it('never lets a schedule outlast the generation', () => {
    const life = { since, endsAt: since + 10 * HOUR };
    expect(appointment(specified({ schedule: { every: '30d' } }), life, 0)).toEqual({
      due: since + 9 * HOUR,
    });
    expect(appointment(specified({ schedule: { every: '2h' } }), life, 0)).toEqual({ due: since + 2 * HOUR });
  });

  it('opens a window in UTC, and gives each secret a moment of its own in it', () => {
    const spec = specified({ schedule: { cron: '0 3 * * *', window: '2h' } });
    const opens = Date.parse('2026-11-22T03:00:00Z');
    expect(appointment(spec, { since }, 0)).toEqual({ due: opens, closes: opens + 2 * HOUR });
    expect(appointment(spec, { since }, 0.5)).toEqual({ due: opens + HOUR, closes: opens + 2 * HOUR });
  });

  it('has a thousand secrets with one schedule not move in one minute', () => {
    const spec = specified({ schedule: { cron: '0 3 * * *' } });
    const minutes = new Map<number, number>();
    for (let n = 0; n < 1_000; n += 1) {
      const due = appointment(spec, { since }, spreadOf(`secret-${n}`))?.due ?? 0;
      const minute = Math.floor(due / 60_000);
      minutes.set(minute, (minutes.get(minute) ?? 0) + 1);
    }
    expect(Math.max(...minutes.values())).toBeLessThan(50);
    expect(minutes.size).toBeGreaterThan(50);
  });
});

describe('nextWindow', () => {
  it('is the next one after a missed window, not the one that is open', () => {
    const spec = specified({ schedule: { cron: '0 3 * * *', window: '1h' } });
    const next = nextWindow(spec, Date.parse('2026-11-22T04:00:01Z'), 0);
    expect(next?.due).toBe(Date.parse('2026-11-23T03:00:00Z'));
  });
});
