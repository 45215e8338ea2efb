import { type ErrorDetails, LeasekeeperError } from '../../errors.ts';

type StaticRoleErrorCode =
  | 'static_role_in_grace'
  | 'static_role_unknown'
  | 'static_roles_share_user'
  | 'static_role_rotation_failed'
  | 'static_role_gone'
  | 'static_role_answer_late';

const HINTS: Record<StaticRoleErrorCode, string> = {
  static_role_in_grace:
    'It is tried again by itself. Name a further role, or give generations a shorter grace and deadline.',
  static_role_unknown: 'Create the static role in Vault, or correct `mount` and `roles`.',
  static_roles_share_user:
    'Give each role a database user of its own: changing the password of one would end the other.',
  static_role_rotation_failed:
    'Check the database and the connection in Vault. The current generation is not touched; it is tried again by itself.',
  static_role_gone:
    'Change the password of the database user or drop it, then create the role in Vault again for a moment, or remove the managed secret keeping its credentials.',
  static_role_answer_late: 'Nothing was changed. It is tried again by itself.',
};

/** What goes wrong with the static roles of a managed secret. */
export class StaticRoleError extends LeasekeeperError {
  declare readonly code: StaticRoleErrorCode;
  /** How long the next try should wait at least, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: StaticRoleErrorCode,
    message: string,
    details: ErrorDetails & { readonly retryAfterMs?: number } = {},
  ) {
    super(code, message, { ...details, hint: details.hint ?? HINTS[code] });
    this.retryAfterMs = details.retryAfterMs;
  }
}
