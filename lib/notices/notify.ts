import type { Book } from '../agenda/book.ts';
import type { Hint } from '../agenda/hint.ts';
import type { Bus } from '../bus/bus.ts';
import { Circuits } from './circuit.ts';
import type { DeliverDependencies } from './deliver.ts';
import type { DueDependencies } from './due.ts';
import { EndpointHealth } from './endpoint-health.ts';
import { EndpointLanes } from './endpoint-lanes.ts';
import { KnownSubscriptions } from './known-subscriptions.ts';
import { Recorder } from './record.ts';

/** What a notifying worker is made of. */
export interface NotifyParts
  extends Omit<DeliverDependencies, 'subscriptions' | 'health' | 'lanes' | 'circuits'> {
  readonly book: Book<Hint>;
  readonly bus: Bus;
}

export interface NotifyDependencies extends DueDependencies {
  readonly recorder: Recorder;
}

/** A worker that records events and delivers notices. What it learns of endpoints it keeps for as long as it lives. */
export function openNotify({ bus, ...parts }: NotifyParts): NotifyDependencies {
  const { notices, now, onError } = parts;
  const subscriptions = new KnownSubscriptions({ notices, now, onError });
  const deps: DueDependencies = {
    ...parts,
    subscriptions,
    health: new EndpointHealth({ notices, subscriptions, bus, now }),
    lanes: new EndpointLanes(),
    circuits: new Circuits(),
  };
  return { ...deps, recorder: new Recorder(deps) };
}
