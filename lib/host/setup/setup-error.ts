import { LeasekeeperError } from '../../errors.ts';

/**
 * A Vault cannot be prepared as asked. Codes: `setup_path_unsafe`, `setup_policy_variable_unknown`, `setup_policies_missing`,
 * `setup_token_role_foreign`, `setup_token_role_shared`, `setup_publish_mount_missing`, `setup_publish_path_not_kv2`,
 * `setup_source_mount_missing`, `setup_source_path_not_kv2`, `setup_path_in_state`, `setup_right_out_of_reach`,
 * `setup_auth_method_missing`, `setup_mount_different`.
 */
export class SetupError extends LeasekeeperError {}
