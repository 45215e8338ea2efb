import { codeOf, LeasekeeperError } from '../errors.ts';
import { isPlainPath } from '../vault/addressing.ts';

/** `secrets_manager_closed`: after `cleanup` nothing may be asked for. */
export function managerClosed(cause?: unknown): LeasekeeperError {
  return new LeasekeeperError('secrets_manager_closed', 'The secrets manager has been cleaned up.', {
    hint: 'Make a new SecretsManager; one is enough for a whole process.',
    cause,
  });
}

/** Throws `secret_path_invalid` for what cannot be a path after VAULT_NAMESPACE. */
export function assertPath(path: string): void {
  if (isPlainPath(path)) return;
  throw new LeasekeeperError('secret_path_invalid', 'That is no path of a secret.', {
    hint: 'Give the path after VAULT_NAMESPACE without a leading slash, such as nvidia/api-key.',
  });
}

/** `generation_unknown`: no version at this path is known to hold the generation, or it is no longer there. */
export function generationUnknown(path: string, cause?: unknown): LeasekeeperError {
  return new LeasekeeperError('generation_unknown', `That generation of ${path} is not there.`, {
    hint: 'Only what Leasekeeper published has a generation, and old versions are not kept for ever.',
    cause,
  });
}

/** `secret_version_ambiguous`. */
export function versionAmbiguous(): LeasekeeperError {
  return new LeasekeeperError(
    'secret_version_ambiguous',
    'Both a version and a generation of a secret were asked for.',
    { hint: 'Give one of them.' },
  );
}

/** `acknowledge_not_configured`. */
export function acknowledgeNotConfigured(): LeasekeeperError {
  return new LeasekeeperError(
    'acknowledge_not_configured',
    'The secrets manager does not know as which consumer to acknowledge.',
    {
      hint: 'Give it the option acknowledge: { as: … }, with the name that specifications list under consumers.',
    },
  );
}

/** `secrets_manager_not_ready`: what `init` was to have at hand could not be had. */
export function notReady(
  failures: readonly { readonly path: string; readonly error: unknown }[],
): LeasekeeperError {
  const told = failures.map(({ path, error }) => `${path} (${codeOf(error)})`).join(', ');
  return new LeasekeeperError('secrets_manager_not_ready', `These secrets could not be had: ${told}.`, {
    hint: 'Each code is explained in docs/errors.md; `leasekeeper doctor` looks for the cause.',
    cause: new AggregateError(failures.map(({ error }) => error)),
  });
}

/** `secrets_manager_cleanup_slow`: told as a `fault`, never thrown. */
export function cleanupTooSlow(): LeasekeeperError {
  return new LeasekeeperError('secrets_manager_cleanup_slow', 'Cleaning up did not finish in time.', {
    hint: 'What could not be revoked ends at its TTL. Check that Vault can be reached.',
  });
}

/** `secret_ended`: what Vault has just given did not even live until now. */
export function endedAtOnce(path: string): LeasekeeperError {
  return new LeasekeeperError(
    'secret_ended',
    `The credential at ${path} ended before it could be handed out.`,
    {
      hint: 'Check the TTL of its role, and that of the token that asks for it.',
    },
  );
}
