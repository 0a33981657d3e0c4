/**
 * The embedded S3 server of `s3migrate demo` and of the tests: real sockets, objects in memory.
 *
 * It keeps what a client may rely on: every request is authenticated, every digest verified, keys
 * and metadata are exact bytes, conditions are atomic, listings are in byte order. It has no disk, no
 * versions, no access control beyond one key. An interceptor may stand between socket and
 * operation; that is how tests script faults without any of them being in here.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { MAX_KEY_BYTES } from '../object-key.ts';
import { type Answer, describeError, errorAnswer, sendAnswer } from './answer.ts';
import { Bucket, type BucketOptions } from './bucket.ts';
import { openPayload, RequestCutError, readRawBody } from './payload.ts';
import { bucketOfHost, parseRequest, type S3Request } from './request.ts';
import { OPERATIONS, operationOf } from './routing.ts';
import { S3Error } from './s3-error.ts';
import { SignatureVerifier } from './signature.ts';

export interface S3ServerOptions {
  /** On 127.0.0.1; any free one by default. */
  port?: number;
  accessKey: string;
  secretKey: string;
  /** Buckets to begin with. */
  buckets: readonly string[];
  /** `us-east-1` by default; a request signed for another is refused. */
  region?: string;
  /** PEM. Serves https instead of http. */
  tls?: { key: string | Buffer; cert: string | Buffer };
  /** A domain whose subdomains are buckets; those of `localhost` always are. */
  virtualHostDomain?: string;
  /** Smallest part but the last; S3's 5 MiB by default. */
  multipartMinPartBytes?: number;
  /** Buckets are created for object lock: settings are kept and shown, not enforced. Not by default. */
  objectLock?: boolean;
  /** Ms since the epoch; the system's clock by default. */
  now?: () => number;
}

/** One request on its socket, before it is answered. */
export interface Exchange {
  /** Told to the client as `x-amz-request-id`. */
  readonly requestId: string;
  readonly request: S3Request;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  /** The body as it came over the wire; the same promise each time. Throws RequestCutError. */
  readonly readBody: () => Promise<Buffer>;
}

/** What {@link Intercept} may have done in another way than the client asked. */
export interface Changes {
  /** Run with this instead. The signature is always verified over what the client sent. */
  readonly request?: S3Request;
  /** Take this for the body instead of reading it; its digests are verified all the same. */
  readonly rawBody?: Buffer;
}

/** Authenticates and runs a request. Refusals are answers; throws RequestCutError alone. */
export type Proceed = (changes?: Changes) => Promise<Answer>;

/**
 * Stands between socket and operation: may answer without proceeding, proceed with a changed
 * request, change the answer, or deal with the socket itself.
 *
 * @returns undefined when nothing is to be sent any more
 */
export type Intercept = (exchange: Exchange, proceed: Proceed) => Promise<Answer | undefined>;

const DEFAULT_REGION = 'us-east-1';
const MIN_PART_BYTES = 5 * 1024 ** 2;

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/** Listens when the promise resolves. Whoever starts it closes it. */
export async function startS3Server(options: S3ServerOptions): Promise<S3Server> {
  const server = new S3Server(options);
  await server.listen(options.port ?? 0);
  return server;
}

export class S3Server {
  readonly #region: string;
  readonly #virtualHostDomain: string | undefined;
  readonly #bucketOptions: BucketOptions;
  readonly #verifier: SignatureVerifier;
  readonly #buckets = new Map<string, Bucket>();
  readonly #sockets = new Set<Socket>();
  readonly #listener: ReturnType<typeof createServer>;
  readonly #scheme: 'http' | 'https';
  #intercept: Intercept = (_exchange, proceed) => proceed();
  #exchanges = 0;

  constructor(options: S3ServerOptions) {
    const { accessKey, secretKey, buckets, region = DEFAULT_REGION, tls, now = Date.now } = options;
    this.#region = region;
    this.#virtualHostDomain = options.virtualHostDomain;
    this.#bucketOptions = {
      minPartBytes: options.multipartMinPartBytes ?? MIN_PART_BYTES,
      ...(options.objectLock !== undefined && { objectLock: options.objectLock }),
      now,
    };
    this.#verifier = new SignatureVerifier({ accessKey, secretKey, region, now });
    for (const name of buckets) this.#createBucket(name);
    const listen = (incoming: IncomingMessage, response: ServerResponse): void => {
      void this.#serve(incoming, response);
    };
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#listener = tls === undefined ? createServer(listen) : createTlsServer(tls, listen);
    // How long a client may take, or keep a connection, is for the client's tests to decide.
    this.#listener.keepAliveTimeout = 0;
    this.#listener.requestTimeout = 0;
    this.#listener.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  /** Begins to accept connections; {@link startS3Server} has done so. */
  async listen(port: number): Promise<void> {
    this.#listener.listen(port, '127.0.0.1');
    await once(this.#listener, 'listening');
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  /**
   * Direct access, past sockets and signatures.
   *
   * @throws S3Error NoSuchBucket
   */
  bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw new S3Error('NoSuchBucket');
    return bucket;
  }

  /** Takes the place of an earlier interceptor, for requests from now on. */
  interceptWith(intercept: Intercept): void {
    this.#intercept = intercept;
  }

  /** Stops listening and destroys every socket, also those of requests under way. */
  async close(): Promise<void> {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#exchanges++;
    const requestId = this.#exchanges.toString(16).toUpperCase().padStart(16, '0');
    response.setHeader('x-amz-request-id', requestId);
    // readBody tells of a client that goes away; without listeners Node would throw it, too.
    incoming.on('error', () => undefined);
    response.on('error', () => undefined);
    const answer = await this.#answer({ requestId, incoming, response });
    if (answer !== undefined && !response.destroyed) sendAnswer(response, answer);
  }

  async #answer(
    connection: Pick<Exchange, 'requestId' | 'incoming' | 'response'>,
  ): Promise<Answer | undefined> {
    const { incoming, requestId } = connection;
    const unparsed = { method: incoming.method ?? '', rawPath: incoming.url ?? '' };
    try {
      const request = parseRequest(incoming, (host) => this.#bucketOfHost(host));
      let body: Promise<Buffer> | undefined;
      const readBody = (): Promise<Buffer> => (body ??= readRawBody(incoming));
      const exchange: Exchange = { ...connection, request, readBody };
      return await this.#intercept(exchange, (changes) => this.#proceed(exchange, changes));
    } catch (thrown) {
      if (thrown instanceof RequestCutError) return undefined;
      return errorAnswer(unparsed, requestId, describeError(thrown));
    }
  }

  async #proceed(exchange: Exchange, changes: Changes = {}): Promise<Answer> {
    const sent = exchange.request;
    try {
      const signing = this.#verifier.verify(sent);
      const request = changes.request ?? sent;
      if (request.key.length > MAX_KEY_BYTES) throw new S3Error('KeyTooLongError');
      const name = operationOf(request);
      if (name === undefined) throw new S3Error('NotImplemented');
      const payload = openPayload(request, changes.rawBody ?? (await exchange.readBody()), signing);
      return OPERATIONS[name]({
        request,
        payload,
        region: this.#region,
        bucket: () => this.bucket(request.bucket ?? ''),
        createBucket: () => this.#createBucket(request.bucket ?? ''),
      });
    } catch (thrown) {
      if (thrown instanceof RequestCutError) throw thrown;
      return errorAnswer(sent, exchange.requestId, describeError(thrown));
    }
  }

  #bucketOfHost(host: string): string | undefined {
    return bucketOfHost(host, {
      domain: this.#virtualHostDomain,
      isBucket: (name) => this.#buckets.has(name),
    });
  }

  #createBucket(name: string): void {
    if (!BUCKET_NAME.test(name)) throw new S3Error('InvalidBucketName');
    if (this.#buckets.has(name)) throw new S3Error('BucketAlreadyOwnedByYou');
    this.#buckets.set(name, new Bucket(this.#bucketOptions));
  }
}
