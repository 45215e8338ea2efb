/** Which static role the next generation gets. Pure. Times in milliseconds, as Vault gives them. */

/** A database user as Vault has it now, and since when it has its password. */
export interface RoleNow {
  readonly role: string;
  readonly username: string;
  readonly rotatedAt: number;
}

/** The database user of another generation, and since when it had the password that was published. */
export interface UserTaken {
  readonly username: string;
  readonly rotatedAt: number | undefined;
}

export interface OtherGenerations {
  readonly current: UserTaken | undefined;
  /** On their way out, oldest first. */
  readonly retiring: readonly UserTaken[];
  /** The current one has leaked: what is on its way out is not spared. */
  readonly urgent: boolean;
}

/**
 * The first role whose user no generation has; else the first whose password has been changed since, so that nobody can be using it any
 * more. When it is urgent, the one that has been on its way out for longest. Undefined: each is in use. Never the current generation's
 * while its password works.
 */
export function chooseRole<Role extends RoleNow>(
  roles: readonly Role[],
  { current, retiring, urgent }: OtherGenerations,
): Role | undefined {
  const taken = [...retiring, ...(current === undefined ? [] : [current])];
  const untouched = roles.find(({ username }) => !taken.some((one) => one.username === username));
  const free = untouched ?? roles.find((role) => !taken.some((one) => holds(one, role)));
  if (free !== undefined || !urgent) return free;
  const spared = roles.filter((role) => current === undefined || !holds(current, role));
  const oldest = retiring.find((one) => spared.some((role) => holds(one, role)));
  return spared.find(({ username }) => username === oldest?.username);
}

/** Whether the user's password is still the one of this generation. */
export function holds(one: UserTaken, role: Omit<RoleNow, 'role'>): boolean {
  return one.username === role.username && one.rotatedAt === role.rotatedAt;
}
