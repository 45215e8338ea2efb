import { isOutcome, type LeasekeeperEvent } from '../../bus/events.ts';
import type { ScanReport } from '../../leases/scan.ts';
import type { ConsumerEvent } from './sample-consumers.ts';
import type { ReceivedNotice } from './webhook-receiver.ts';

/** What has happened since the start. */
export interface Counts {
  renewals: number;
  rotations: number;
  overlaps: number;
  retirements: number;
  verifiedNotices: number;
  unverifiedNotices: number;
  fetches: number;
  failedFetches: number;
  queries: number;
  failedQueries: number;
  reads: number;
  faults: number;
  lost: number;
  rotationFailures: number;
}

/** A requirement of a bounded run and whether it was met. */
export interface Verdict {
  readonly what: string;
  readonly met: boolean;
}

export interface AccountOptions {
  readonly json: boolean;
  readonly write: (text: string) => void;
  /** A terminal: the status line is kept at the bottom. Elsewhere it is printed now and then. */
  readonly isTerminal: boolean;
  readonly now: () => number;
}

const STATUS_EVERY_MS = 10_000;

/** The live account of the sample: a line for each thing that happens, and a status line. No line holds a secret. */
export class Account {
  readonly counts: Counts = {
    renewals: 0,
    rotations: 0,
    overlaps: 0,
    retirements: 0,
    verifiedNotices: 0,
    unverifiedNotices: 0,
    fetches: 0,
    failedFetches: 0,
    queries: 0,
    failedQueries: 0,
    reads: 0,
    faults: 0,
    lost: 0,
    rotationFailures: 0,
  };
  readonly #options: AccountOptions;
  readonly #told = new Set<string>();
  #status = '';
  #scanned: ScanReport = { entries: 0, due: 0, oldestOverdueMs: 0, published: 0 };
  #statusAt: number;

  constructor(options: AccountOptions) {
    this.#options = options;
    this.#statusAt = options.now();
  }

  /** A line about the start or the end. */
  note(text: string): void {
    this.#line('note', text, {});
  }

  renewed(lease: { readonly path: string; readonly consumer: string; readonly expire: number }): void {
    this.counts.renewals += 1;
    const left = Math.round((lease.expire - this.#options.now()) / 1_000);
    this.#line('renewed', `${lease.path} for ${lease.consumer}, ${left} s to live`, {
      path: lease.path,
      consumer: lease.consumer,
    });
  }

  /** An event may be published more than once, under one id: it is told and counted once. */
  event(event: LeasekeeperEvent): void {
    if (this.#told.has(event.id)) return;
    if (isOutcome(event)) this.#told.add(event.id);
    switch (event.type) {
      case 'secret.rotated': {
        this.counts.rotations += 1;
        const { name, generation, previous_generation: previous, reason } = event.data;
        this.#line(
          'rotated',
          `${name} ${previous === undefined ? '' : `g${previous}→`}g${generation} (${reason})`,
          { name, generation },
        );
        return;
      }
      case 'secret.retired': {
        this.counts.retirements += 1;
        const { name, generation, reason } = event.data;
        this.#line('retired', `${name} g${generation} revoked (${reason})`, { name, generation });
        return;
      }
      case 'secret.rotation_failed': {
        this.counts.rotationFailures += 1;
        const { name, step, code } = event.data;
        this.#line('failed', `${name} at ${step}: ${code}; the current generation stays`, {
          name,
          step,
          code,
        });
        return;
      }
      case 'lease.lost':
        this.counts.lost += 1;
        this.#line('lost', `${event.data.path} of ${event.data.consumer}`, { path: event.data.path });
        return;
      case 'lease.expiring':
      case 'lease.renewal_failing':
        this.#line(event.type.slice('lease.'.length), `${event.data.path} of ${event.data.consumer}`, {
          path: event.data.path,
        });
        return;
      case 'secret.retire_failing':
        this.#line(
          'failed',
          `${event.data.name} g${event.data.generation} is not revoked: ${event.data.code}`,
          {
            name: event.data.name,
            code: event.data.code,
          },
        );
        return;
      case 'secret.retire_overdue':
        this.#line('overdue', `${event.data.name} g${event.data.generation} is kept past its deadline`, {
          name: event.data.name,
        });
        return;
      case 'secret.removed':
        this.#line('removed', `${event.data.name} is no longer managed`, { name: event.data.name });
        return;
      case 'secret.drift':
        this.#line('drift', `${event.data.name}: ${event.data.what}`, { name: event.data.name });
        return;
      case 'subscription.disabled':
        this.#line('disabled', `subscription ${event.data.subscription} (${event.data.reason})`, {});
        return;
      default:
        return;
    }
  }

  notice(notice: ReceivedNotice): void {
    if (notice.verified) this.counts.verifiedNotices += 1;
    else this.counts.unverifiedNotices += 1;
    this.#line(
      'notice',
      `${notice.type} ${notice.verified ? 'delivered, signature verified' : 'NOT VERIFIED'}`,
      { id: notice.id },
    );
  }

  consumer(event: ConsumerEvent): void {
    switch (event.kind) {
      case 'query':
        this.counts.queries += 1;
        if (event.ok) return;
        this.counts.failedQueries += 1;
        this.#line('QUERY FAILED', event.code, { code: event.code });
        return;
      case 'overlap':
        if (event.ok) this.counts.overlaps += 1;
        this.#line(
          'overlap',
          `g${event.from} and g${event.to} ${event.ok ? 'both log in' : 'do NOT both log in'}`,
          {},
        );
        return;
      case 'lease':
        if (event.what === 'renewed') this.counts.renewals += 1;
        this.#line(event.what === 'rotated' ? 'adopted' : event.what, `${event.path} by api-gateway itself`, {
          path: event.path,
        });
        return;
      case 'fetched':
        if (event.ok) this.counts.fetches += 1;
        else this.counts.failedFetches += 1;
        this.#line(
          event.ok ? 'fetched' : 'FETCH FAILED',
          event.ok ? 'database/creds/api-gateway over HTTP' : (event.code ?? ''),
          {},
        );
        return;
      case 'read':
        this.counts.reads += 1;
        return;
    }
  }

  fault(code: string, where: string): void {
    this.counts.faults += 1;
    this.#line('fault', `${where}: ${code}`, { code, where });
  }

  scanned(report: ScanReport): void {
    this.#scanned = report;
    this.status();
  }

  /** Prints the status line: at once on a terminal, else when it has not been printed for a while. */
  status(): void {
    const { queries, failedQueries, faults, fetches, verifiedNotices } = this.counts;
    const overdue = Math.round(this.#scanned.oldestOverdueMs / 1_000);
    this.#status =
      `agenda ${this.#scanned.entries}, due ${this.#scanned.due}${overdue > 0 ? ` (oldest ${overdue} s)` : ''} | ` +
      `queries ${queries}, failed ${failedQueries} | fetches ${fetches} | notices ${verifiedNotices} | faults ${faults}`;
    if (this.#options.json) return;
    if (this.#options.isTerminal) this.#options.write(`\r\x1b[K${this.#status}`);
    else if (this.#options.now() - this.#statusAt >= STATUS_EVERY_MS) {
      this.#statusAt = this.#options.now();
      this.#options.write(`          -- ${this.#status}\n`);
    }
  }

  /** What a bounded run must have shown. */
  verdicts(): readonly Verdict[] {
    const { counts } = this;
    return [
      { what: 'a lease was renewed', met: counts.renewals > 0 },
      { what: 'a secret was rotated, both generations valid meanwhile', met: counts.overlaps > 0 },
      { what: 'an old generation was retired', met: counts.retirements > 0 },
      {
        what: 'a signed notice arrived and was verified',
        met: counts.verifiedNotices > 0 && counts.unverifiedNotices === 0,
      },
      { what: 'a short-lived secret was fetched over HTTP', met: counts.fetches > 0 },
      { what: 'no query failed', met: counts.queries > 0 && counts.failedQueries === 0 },
    ];
  }

  /** The end of a run. True when everything that must have happened did. */
  summary(seconds: number): boolean {
    const verdicts = this.verdicts();
    const ok = verdicts.every(({ met }) => met);
    if (this.#options.json) {
      this.#options.write(`${JSON.stringify({ kind: 'summary', ok, seconds, ...this.counts, verdicts })}\n`);
      return ok;
    }
    if (this.#options.isTerminal) this.#options.write('\r\x1b[K');
    const { counts } = this;
    this.#options.write(
      [
        '',
        `In ${seconds} s: ${counts.renewals} renewals, ${counts.rotations} rotations, ${counts.retirements} retirements, ` +
          `${counts.verifiedNotices} verified notices, ${counts.fetches} fetches, ${counts.reads} reads, ` +
          `${counts.queries} queries of which ${counts.failedQueries} failed, ${counts.faults} faults.`,
        ...verdicts.map(({ what, met }) => `  ${met ? 'yes' : 'NO '}  ${what}`),
        '',
      ].join('\n'),
    );
    return ok;
  }

  #line(kind: string, text: string, fields: Readonly<Record<string, string | number>>): void {
    const time = new Date(this.#options.now()).toISOString();
    if (this.#options.json) {
      this.#options.write(`${JSON.stringify({ time, kind, text, ...fields })}\n`);
      return;
    }
    const clear = this.#options.isTerminal ? '\r\x1b[K' : '';
    this.#options.write(`${clear}${time.slice(11, 19)}  ${kind.padEnd(12)} ${text}\n`);
    if (this.#options.isTerminal && this.#status !== '') this.#options.write(this.#status);
  }
}
