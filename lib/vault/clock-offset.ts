/** Resolution of a `Date` header (RFC 9110, 5.6.7). */
const SECOND_MS = 1_000;

/** One answer: what its `Date` says, and when by our own clock the request left and the answer was here. Milliseconds since the epoch. */
export interface DatedAnswer {
  readonly date: number;
  readonly sentAt: number;
  readonly receivedAt: number;
}

/**
 * How many milliseconds Vault's clock is ahead of ours, after one more answer: what it was taken for, moved only as far as the answer proves. It
 * was dated at some moment between sending and receiving, down to the second, so one that took long, because Vault is slow or this process was
 * frozen, proves little; quick ones bring it within a second of the truth, and there it stays.
 */
export function clockOffset(known: number, { date, sentAt, receivedAt }: DatedAnswer): number {
  const least = date - receivedAt;
  const most = date + SECOND_MS - sentAt;
  return Math.min(Math.max(known, least), most);
}
