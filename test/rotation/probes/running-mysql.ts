/** A user that the server knows. */
export interface MysqlUser {
  readonly username: string;
  readonly password: string;
}

/** Something on 127.0.0.1 that logs users in as MySQL does. */
export interface RunningMysql {
  readonly port: number;
  /** Who issued its certificate for `localhost`, in PEM; undefined: it has no TLS. */
  readonly ca: string | undefined;
  stop(): Promise<void>;
}
