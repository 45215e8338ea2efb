/**
 * What a probe found. `code` is stable and holds nothing of the value. `refused` is true only when the other side certainly said no to
 * the value (a wrong password, 401); false when it could not be asked, or its answer may have other reasons. Whoever takes a refusal of
 * the current value for drift may rely on it: a fault of the network never refuses.
 */
export type ProbeResult = { readonly ok: true } | ProbeFailure;

export interface ProbeFailure {
  readonly ok: false;
  readonly code: string;
  readonly refused: boolean;
}
