import { Agent } from 'undici';
import { createAddressGuard } from './address-guard.ts';
import { deliveryFailure } from './delivery-failure.ts';
import { createGuardedConnect, type Resolve } from './guarded-connect.ts';

export interface SenderOptions {
  /** What may be sent to besides public https, see allow-list.ts. */
  readonly allow?: readonly string[];
  /** For one attempt from the lookup to the answer's last byte, in milliseconds; default 15,000. */
  readonly timeoutMs?: number;
  /** Connections to one origin at most; default 4. */
  readonly connections?: number;
  /** Of an answer no more is read than this, in bytes; default 64 KiB. */
  readonly maxAnswerBytes?: number;
  /** Certificate authorities in PEM that are trusted besides Node's own, see trusted-roots.ts. */
  readonly ca?: string | readonly string[];
  /** Default: the system's resolver. */
  readonly resolve?: Resolve;
}

export interface NoticeRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal?: AbortSignal;
}

export interface NoticeAnswer {
  readonly status: number;
  /** From the call to the end of what was read, in milliseconds. */
  readonly durationMs: number;
  /** The Retry-After header as it came. */
  readonly retryAfter?: string;
  /** The first 256 bytes of the answer as text, with control, invisible and white characters as one space. */
  readonly excerpt: string;
}

export interface Sender {
  /**
   * POSTs a notice and gives whatever was answered; redirects are answers too. Throws DeliveryFailed (`delivery_failed`)
   * when there was no answer or the endpoint is not to be sent to.
   */
  send(request: NoticeRequest): Promise<NoticeAnswer>;
  /** Lets running attempts end, then closes all connections. May be called again. */
  close(): Promise<void>;
}

const EXCERPT_BYTES = 256;
/** The longest HTTP date has 33 characters. */
const LONGEST_RETRY_AFTER = 64;

/** Sends notices to endpoints that strangers chose: guarded addresses, bounded time, bounded answers. Throws `allow_list_invalid`. */
export function createSender(options: SenderOptions = {}): Sender {
  const { timeoutMs = 15_000, connections = 4, maxAnswerBytes = 64 * 1024 } = options;
  const guard = createAddressGuard(options.allow);
  const { ca, resolve } = options;
  const agent = new Agent({
    connections,
    pipelining: 1,
    connect: createGuardedConnect({
      guard,
      timeoutMs,
      ...(ca !== undefined && { ca }),
      ...(resolve !== undefined && { resolve }),
    }),
  });

  let closing: Promise<void> | undefined;

  const send = async ({ url, headers, body, signal }: NoticeRequest): Promise<NoticeAnswer> => {
    const started = performance.now();
    const { origin, pathname, search } = guard.checkUrl(url);
    const deadline = AbortSignal.timeout(timeoutMs);
    const answer = await agent.request({
      origin,
      path: pathname + search,
      method: 'POST',
      headers,
      body,
      signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
    });
    const excerpt = await excerptOf(answer.body, maxAnswerBytes);
    const [retryAfter] = [answer.headers['retry-after']].flat();
    return {
      status: answer.statusCode,
      durationMs: performance.now() - started,
      ...(retryAfter !== undefined && { retryAfter: retryAfter.slice(0, LONGEST_RETRY_AFTER) }),
      excerpt,
    };
  };

  return {
    async send(request) {
      try {
        return await send(request);
      } catch (error) {
        throw deliveryFailure(error);
      }
    },
    close: () => {
      closing ??= agent.close();
      return closing;
    },
  };
}

/**
 * Reads an answer as far as it is bounded. Reading small ones to the end keeps the connection; leaving the loop early
 * destroys it. A body that breaks off or never ends changes nothing: the status has been given.
 */
async function excerptOf(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes > maxBytes) break;
    }
  } catch {
    // See above.
  }
  const first = Buffer.concat(chunks).subarray(0, EXCERPT_BYTES);
  // `stream` leaves out a character that the cut went through.
  return new TextDecoder()
    .decode(first, { stream: true })
    .replaceAll(/[\p{C}\s]+/gu, ' ')
    .trim();
}
