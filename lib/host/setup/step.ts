import type { Secret } from '../../telemetry/secret.ts';

/** A JSON value in the body of a setup call. A Secret is exposed only when the call is made, and prints as `[secret]`. */
export type SetupValue =
  | string
  | number
  | boolean
  | null
  | Secret
  | readonly SetupValue[]
  | { readonly [key: string]: SetupValue };
export type SetupBody = Readonly<Record<string, SetupValue>>;

export interface SetupCall {
  readonly method: 'POST' | 'PUT';
  /** Full path, without `/v1/`. */
  readonly path: string;
  readonly body: SetupBody;
}

/** How to see whether a thing is there, and as it should be. */
export interface ReadBack {
  /** Read with GET; 404 means that it is missing. */
  readonly path: string;
  /** The keys that lead to it in the answer; missing there means that it is missing. */
  readonly at: readonly string[];
  /** The fields that must be so. Further fields are not looked at. */
  readonly wanted: SetupBody;
  /** As the thing is before anybody has set it: counts as missing. */
  readonly factory?: SetupBody;
  /** Further members of a list that are neither wanted nor a difference; an update keeps them. */
  readonly tolerates?: { readonly field: string; readonly prefix: string };
  /** The same for the rules of a policy. */
  readonly toleratesRules?: ToleratedRules;
}

/** Rules of a policy for one name each under a path, with these capabilities, whatever their order. */
export interface ToleratedRules {
  /** The field that holds the policy. */
  readonly field: string;
  readonly under: string;
  readonly capabilities: readonly string[];
  /** Paths that are not tolerated: there they are wanted, or too much. */
  readonly except: readonly string[];
}

/** One thing that a prepared Vault has. Pure data: carried out by apply-plan.ts, printed by print-plan.ts. */
export interface SetupStep {
  readonly title: string;
  /** Whether an update may overwrite it when it differs: only what belongs to us. */
  readonly ours: boolean;
  /** Whether going on makes no sense when it differs: what stands on it would go to a wrong place. */
  readonly foundation: boolean;
  readonly read: ReadBack;
  readonly write: SetupCall;
}
