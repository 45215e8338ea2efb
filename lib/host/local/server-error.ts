import { LeasekeeperError } from '../../errors.ts';

/**
 * A server of the one-process host cannot be obtained, started or used. Codes: `openbao_unavailable`,
 * `postgres_unavailable`, `server_start_failed`, `data_folder_in_use`, `data_folder_incomplete`,
 * `data_folder_denied`.
 */
export class LocalServerError extends LeasekeeperError {}
