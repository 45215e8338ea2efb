import type { IncomingMessage, ServerResponse } from 'node:http';
import { Webhook } from 'standardwebhooks';
import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { isTransient } from '../vault/errors.ts';

export interface NoticeReceiverOptions {
  /**
   * The subscription's signing secret, `whsec_…`; both while one replaces the other. A function is asked at each notice, so that it may
   * read them from Vault.
   */
  readonly signingSecret: SigningSecrets | (() => SigningSecrets | Promise<SigningSecrets>);
}

type SigningSecrets = string | readonly string[];

/** A notice as it came. */
export interface ReceivedNotice {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The body byte for byte: parsed and serialised again it would have another signature. */
  readonly body: string;
}

/**
 * What to answer. 204: taken. 401: forged, altered, or more than five minutes off. 400: signed, but no notice. 503: Vault could not be asked,
 * so that Leasekeeper sends it again.
 */
export interface NoticeAnswer {
  readonly status: 204 | 400 | 401 | 503;
}

export interface NoticeReceiver {
  receive(notice: ReceivedNotice): Promise<NoticeAnswer>;
  /** The same for `node:http` and what is built on it; a body over 64 KiB is answered 413. Never throws. */
  readonly listener: (request: IncomingMessage, response: ServerResponse) => void;
}

export interface NoticeReceiverDependencies {
  /** Reads a path anew, if it is in use. False when Vault could not be asked and the last value stands in. */
  readonly refresh: (path: string) => Promise<boolean>;
  readonly onFault: (path: string, error: unknown) => void;
}

/** Leasekeeper's own are under 20 kB. */
const LARGEST_BODY_BYTES = 65_536;
/** A notice that is replayed while its signature holds makes no second request to Vault. */
const MOST_SEEN = 1_000;

const rotatedSchema = z.object({
  type: z.literal('secret.rotated'),
  data: z.object({ path: z.string().optional() }),
});
const batchSchema = z.object({
  type: z.literal('notices.batch'),
  data: z.object({ notices: z.array(z.unknown()) }),
});
const anySchema = z.object({ type: z.string(), data: z.unknown() });

/** Throws `signing_secret_invalid` for a secret that is given and is none. */
export function createNoticeReceiver(
  { signingSecret }: NoticeReceiverOptions,
  { refresh, onFault }: NoticeReceiverDependencies,
): NoticeReceiver {
  const given = typeof signingSecret === 'function' ? undefined : verifiersOf(signingSecret);
  const seen = new Set<string>();

  const verifiers = async () =>
    given ?? verifiersOf(typeof signingSecret === 'function' ? await signingSecret() : []);

  const take = async (path: string): Promise<boolean> => {
    try {
      return await refresh(path);
    } catch (error) {
      onFault(path, error);
      // A denial will be the same the next time: only what passes is worth another notice.
      return !isTransient(error);
    }
  };

  const receive = async (notice: ReceivedNotice): Promise<NoticeAnswer> => {
    let known: readonly Webhook[];
    try {
      known = await verifiers();
    } catch (error) {
      onFault('', error);
      return { status: 503 };
    }
    const headers = signatureIn(notice);
    const verified = known.some((webhook) => isSignedBy(webhook, notice.body, headers));
    if (!verified) return { status: 401 };
    const id = headers['webhook-id'];
    if (seen.has(id)) return { status: 204 };
    const paths = pathsIn(notice.body);
    if (paths === undefined) return { status: 400 };
    const taken = await Promise.all([...paths].map(take));
    if (!taken.every((one) => one)) return { status: 503 };
    seen.add(id);
    const [oldest] = seen;
    if (oldest !== undefined && seen.size > MOST_SEEN) seen.delete(oldest);
    return { status: 204 };
  };

  return {
    receive,
    listener: (request, response) => {
      const { headers } = request;
      bodyOf(request)
        .then((body) => (body === undefined ? { status: 413 } : receive({ headers, body })))
        .then(({ status }) => response.writeHead(status).end())
        .catch(() => response.destroy());
    },
  };
}

function verifiersOf(secrets: SigningSecrets): readonly Webhook[] {
  try {
    return [secrets].flat().map((secret) => new Webhook(secret));
  } catch {
    // Without the library's own error, which is about the secret.
    throw new LeasekeeperError('signing_secret_invalid', 'A signing secret for notices is not in its form.', {
      hint: 'It is what `leasekeeper subscribe create` printed: whsec_ and base64.',
    });
  }
}

function signatureIn({ headers }: ReceivedNotice) {
  const one = (name: string) => [headers[name]].flat()[0] ?? '';
  return {
    'webhook-id': one('webhook-id'),
    'webhook-timestamp': one('webhook-timestamp'),
    'webhook-signature': one('webhook-signature'),
  };
}

function isSignedBy(webhook: Webhook, body: string, headers: Record<string, string>): boolean {
  try {
    webhook.verify(body, headers, { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}

/** The published paths that have a new value; of other events none. Undefined for what is no notice. */
function pathsIn(body: string): ReadonlySet<string> | undefined {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!anySchema.safeParse(json).success) return undefined;
  const batch = batchSchema.safeParse(json);
  const notices = batch.success ? batch.data.data.notices : [json];
  const paths = notices.flatMap((notice) => {
    const rotated = rotatedSchema.safeParse(notice);
    return rotated.success && rotated.data.data.path !== undefined ? [rotated.data.data.path] : [];
  });
  return new Set(paths);
}

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > LARGEST_BODY_BYTES) return undefined;
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString();
}
