import { RequestError } from '../access/problem.ts';
import { codeOf, LeasekeeperError } from '../errors.ts';
import { EndpointRefused } from '../notices/address-guard.ts';
import { MOST_OF_ONE_OWNER } from '../notices/subscription.ts';

/** Why something asked of a subscription is refused, the same over HTTP and by command. */

export function unknownSubscription(id: string): RequestError {
  return new RequestError(
    404,
    'subscription_unknown',
    `There is no subscription ${id}.`,
    'List the subscriptions, and check the id.',
  );
}

export function subscriptionExists(id: string): RequestError {
  return new RequestError(
    409,
    'subscription_exists',
    `The subscription ${id} has this endpoint, with the same types and names, already.`,
    'Use that one. Its signing secret is not shown again, but can be rotated; what else it has can be changed.',
  );
}

export function tooManySubscriptions(owner: string): RequestError {
  return new RequestError(
    409,
    'subscriptions_full',
    `${owner} has ${MOST_OF_ONE_OWNER} subscriptions, and can have no more.`,
    'Delete those that are no longer needed, or have one hear of more by its types and names.',
  );
}

export function invalidSubscriptionId(): RequestError {
  return new RequestError(
    400,
    'subscription_id_invalid',
    'That is not the id of a subscription.',
    'An id is the name of a consumer, or _all, then a colon and a name, as the list shows it.',
  );
}

export function contendedSubscription(id: string): RequestError {
  return new RequestError(
    409,
    'subscription_contended',
    `The subscription ${id} could not be written.`,
    'Others kept writing first, or Vault did not say whether it was written. Look at it, and try again.',
  );
}

/** The URL is not told: it may hold what only its owner should know. */
export function refusedEndpoint({ code, message, hint, reason }: EndpointRefused): RequestError {
  return new RequestError(422, code, message, hint, { errors: [{ field: 'url', message }], reason });
}

/** What is wrong with what was asked, of the codes that the room of notices has. */
const STATUS_OF: Readonly<Record<string, number>> = {
  subscription_disabled: 409,
  event_unknown: 404,
  place_in_log_invalid: 400,
};

/** An error of the room of notices, with its status over HTTP where the caller is at fault; any other as it is. */
export function asRefusal(error: unknown): unknown {
  if (error instanceof EndpointRefused) return refusedEndpoint(error);
  const status = STATUS_OF[codeOf(error)];
  if (status === undefined || !(error instanceof LeasekeeperError)) return error;
  return new RequestError(status, error.code, error.message, error.hint);
}
