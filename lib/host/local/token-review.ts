import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import path from 'node:path';
import { type JWTPayload, jwtVerify, SignJWT } from 'jose';
import * as z from 'zod';
import { codeOf } from '../../errors.ts';
import { jsonIn } from '../../json-in.ts';
import { Secret } from '../../telemetry/secret.ts';
import { makePrivateFolder, readIfPresent, writePrivateFile } from './private-file.ts';
import { LocalServerError } from './server-error.ts';

export interface TokenReviewOptions {
  /** Keeps the signing key (0600) and the port, so that tokens and Vault's configuration outlive a restart. Made if missing. */
  readonly dataDir: string;
  readonly now?: () => number;
}

/** Whose token to sign. */
export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
  /** Whom it is for: the `audience` of the Vault role. */
  readonly audience?: string;
  readonly expiresInSeconds?: number;
}

/** A running stand-in for the part of Kubernetes that Vault's kubernetes auth method talks to. */
export interface TokenReviewServer {
  /** The method's `kubernetes_host`. */
  readonly url: string;
  /** A service account token as the kubelet would mount it. */
  sign(account: ServiceAccount): Promise<Secret>;
  /** The account is deleted: none of its tokens is accepted from now on. */
  forget(account: Pick<ServiceAccount, 'namespace' | 'name'>): void;
  stop(): Promise<void>;
}

export const DEFAULT_AUDIENCE = 'vault';
const HOST = '127.0.0.1';
const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews';
const ISSUER = 'https://kubernetes.default.svc';
/** What the API server itself accepts: Vault sends its caller's own token to authenticate the review. */
const API_AUDIENCE = ISSUER;
const LARGEST_BODY_BYTES = 64 * 1024;

const reviewSchema = z.object({
  spec: z.object({ token: z.string(), audiences: z.array(z.string()).optional() }),
});
const claimsSchema = z.object({
  sub: z.string(),
  aud: z.union([z.string().transform((one) => [one]), z.array(z.string())]),
  'kubernetes.io': z.object({
    namespace: z.string(),
    serviceaccount: z.object({ name: z.string(), uid: z.string() }),
  }),
});
type Claims = z.infer<typeof claimsSchema>;

/**
 * Signs service account tokens and answers TokenReview (Kubernetes API, authentication.k8s.io/v1) as a cluster would: signature,
 * expiry and audience are checked. Listens on 127.0.0.1 only, at the port of the last start if it is free.
 * Throws `server_start_failed`, `data_folder_denied`.
 */
export async function startTokenReview(options: TokenReviewOptions): Promise<TokenReviewServer> {
  const folder = path.resolve(options.dataDir);
  await makePrivateFolder(folder);
  const key = await signingKey(path.join(folder, 'service-account-key.pem'));
  const verifier = new Verifier(createPublicKey(key), options.now ?? Date.now);
  const server = createServer((request, response) => {
    answer(verifier, request, response).catch(() => refuse(response, 500, 'InternalError'));
  });
  const port = await listen(server, path.join(folder, 'token-review.port'));
  return {
    url: `http://${HOST}:${port}`,
    sign: (account) => sign(key, account, (options.now ?? Date.now)()),
    forget: ({ namespace, name }) => verifier.forget(uidOf(namespace, name)),
    stop: () => stop(server),
  };
}

async function signingKey(file: string): Promise<KeyObject> {
  const kept = await readIfPresent(file);
  if (kept !== undefined) return createPrivateKey(kept);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writePrivateFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  return privateKey;
}

async function sign(key: KeyObject, account: ServiceAccount, now: number): Promise<Secret> {
  const { namespace, name } = account;
  const seconds = Math.floor(now / 1_000);
  const claims: JWTPayload = {
    'kubernetes.io': { namespace, serviceaccount: { name, uid: uidOf(namespace, name) } },
  };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256' })
    .setIssuer(ISSUER)
    .setSubject(`system:serviceaccount:${namespace}:${name}`)
    .setAudience([account.audience ?? DEFAULT_AUDIENCE, API_AUDIENCE])
    .setIssuedAt(seconds)
    .setNotBefore(seconds)
    .setExpirationTime(seconds + (account.expiresInSeconds ?? 3_600))
    .sign(key);
  return new Secret(token);
}

/** The same for an account at every start, as in a cluster: Vault's entities hang on it. */
function uidOf(namespace: string, name: string): string {
  const hex = createHash('sha256').update(`${namespace}/${name}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}

class Verifier {
  readonly #key: KeyObject;
  readonly #now: () => number;
  readonly #deleted = new Set<string>();

  constructor(key: KeyObject, now: () => number) {
    this.#key = key;
    this.#now = now;
  }

  forget(uid: string): void {
    this.#deleted.add(uid);
  }

  /** The claims of a token of ours that is valid now and meant for one of `audiences`; undefined for any other. */
  async verify(token: string, audiences: readonly string[]): Promise<Claims | undefined> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: ['RS256'],
        issuer: ISSUER,
        audience: [...audiences],
        requiredClaims: ['exp'],
        currentDate: new Date(this.#now()),
      });
      const claims = claimsSchema.parse(payload);
      return this.#deleted.has(claims['kubernetes.io'].serviceaccount.uid) ? undefined : claims;
    } catch {
      return undefined;
    }
  }
}

async function answer(verifier: Verifier, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', `http://${HOST}`);
  if (pathname !== REVIEWS) return refuse(response, 404, 'NotFound');
  if (request.method !== 'POST') return refuse(response, 405, 'MethodNotAllowed');
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (bearer === undefined || (await verifier.verify(bearer, [API_AUDIENCE])) === undefined) {
    return refuse(response, 401, 'Unauthorized');
  }
  const review = reviewSchema.safeParse(jsonIn(await readBody(request)));
  if (!review.success) return refuse(response, 400, 'BadRequest');
  const { token, audiences = [] } = review.data.spec;
  const asked = audiences.length === 0 ? [API_AUDIENCE] : audiences;
  const claims = await verifier.verify(token, asked);
  const status = claims === undefined ? { authenticated: false } : authenticated(claims, asked);
  respond(response, 201, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: {}, status });
}

function authenticated(claims: Claims, asked: readonly string[]) {
  const { namespace, serviceaccount } = claims['kubernetes.io'];
  return {
    authenticated: true,
    user: {
      username: claims.sub,
      uid: serviceaccount.uid,
      groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    },
    // Repeated, or the login is denied: it tells that the audience was looked at.
    audiences: asked.filter((one) => claims.aud.includes(one)),
  };
}

function refuse(response: ServerResponse, code: number, reason: string): void {
  respond(response, code, { apiVersion: 'v1', kind: 'Status', status: 'Failure', reason, code });
}

function respond(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > LARGEST_BODY_BYTES) return '';
  }
  return text;
}

async function listen(server: Server, portFile: string): Promise<number> {
  const last = Number(await readIfPresent(portFile)) || 0;
  const port = (await listenAt(server, last)) ?? (await listenAt(server, 0));
  if (port === undefined) throw noPort();
  await writePrivateFile(portFile, String(port));
  return port;
}

/** Undefined when the port is taken. */
function listenAt(server: Server, wanted: number): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const failed = (error: unknown) => (codeOf(error) === 'EADDRINUSE' ? resolve(undefined) : reject(error));
  server.once('error', failed);
  server.listen({ port: wanted, host: HOST, exclusive: true }, () => {
    server.removeListener('error', failed);
    const address = server.address();
    resolve(typeof address === 'object' && address !== null ? address.port : undefined);
  });
  return promise;
}

function stop(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  return closed;
}

function noPort(): LocalServerError {
  return new LocalServerError('server_start_failed', 'The system gave no TCP port on 127.0.0.1.');
}
