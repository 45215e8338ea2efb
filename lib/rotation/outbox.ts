import type { Outcome } from '../bus/events.ts';
import type { RotationState } from './state.ts';

/** The outbox with one event more. The same event, derived again, takes its own place. */
export function withEvent(state: RotationState, event: Outcome): RotationState['outbox'] {
  return { ...state.outbox, [event.id]: event };
}
