/**
 * Signed exchanges with one S3 endpoint over a pool of kept connections.
 *
 * Every exchange has a connection of its own while it lasts; there is no pipelining, so there are as
 * many connections as exchanges at once. A connection that was closed while idle costs a repeatable request
 * nothing: it goes out again on a fresh one. Others are kept from such connections once the server was seen to close
 * them. A clock that differs from the server's is corrected from
 * the server's Date. Anything else is the caller's to retry.
 */
import { isIPv6 } from 'node:net';
import { performance } from 'node:perf_hooks';
import { startAwakeClock, type TickingClock } from '../awake-clock.ts';
import {
  type Answer,
  type BodyReceiver,
  Connection,
  type Endpoint,
  type ExchangeRequest,
  type RequestBody,
  TIME_LIMITS,
  type TimeLimits,
} from './connection.ts';
import { Passage } from './passage.ts';
import { encodeQuery } from './percent-encoding.ts';
import type { ResponseHead } from './response-head.ts';
import {
  byName,
  type Credentials,
  EMPTY_PAYLOAD,
  type Header,
  Signer,
  UNSIGNED_PAYLOAD,
} from './signature.ts';
import { WireError } from './wire-error.ts';

export interface ClientOptions {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  readonly region: string;
  readonly limits?: TimeLimits | undefined;
}

export interface SignedRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Name for the Host header without a port; the endpoint's own unless given (virtual-host addressing). */
  readonly host?: string | undefined;
  /** Percent-encoded, beginning with `/`. */
  readonly path: string;
  /** Names and values as byte strings, not encoded. */
  readonly query?: readonly (readonly [name: string, value: string])[] | undefined;
  readonly headers?: readonly Header[] | undefined;
  /** Must be covered by a digest header (Content-MD5 or x-amz-checksum-*) or by `payloadHash`. */
  readonly body?: RequestBody | undefined;
  /** Hex SHA-256 of the body, where it is to be signed itself. */
  readonly payloadHash?: string | undefined;
  /** Whether doing it twice is the same as doing it once, answer included; a Passage is never sent twice. */
  readonly repeatable: boolean;
  /**
   * For requests that a server may take minutes to answer, in silence or with blanks until it can (S3 sends one now and
   * then while it puts parts together): the whole answer must be there within so many ms.
   */
  readonly answerWithinMs?: number | undefined;
  readonly receive: (head: ResponseHead) => BodyReceiver | Promise<BodyReceiver>;
}

/** A kept connection older than this is not trusted with a request: common servers close after 5 s. */
const MAX_IDLE_MS = 4_000;
/** Requests on fresh connections before a kept one is tried again, at most. */
const MAX_FRESH_PENALTY = 1024;
const NO_HEADERS: readonly Header[] = [];
/** Differences of the clocks below this are left alone: stores take 15 minutes, and Date counts whole seconds. */
const SKEW_TOLERANCE_MS = 60_000;

const CLOCK_CORRECTED =
  "the request was signed for a wrong time, and this host's clock has been corrected since";
const NOT_DONE = { sent: false, stale: false };

interface IdleConnection {
  readonly connection: Connection;
  readonly since: number;
}

export class WireClient {
  readonly #options: ClientOptions;
  #signer: Signer;
  readonly #limits: TimeLimits;
  readonly #authority: string;
  readonly #idle: IdleConnection[] = [];
  readonly #open = new Set<Connection>();
  /** No peer is charged with the time that this thread stood still. */
  readonly #clock: TickingClock;
  #tlsSession: Buffer | undefined;
  /** Requests that must not be repeated and still get a connection of their own. */
  #freshWanted = 0;
  /** How many of them the last one that met a closed connection has brought about. */
  #freshPenalty = 0;
  #clockOffsetMs = 0;
  #closed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#signer = new Signer(options.credentials, options.region);
    this.#limits = options.limits ?? TIME_LIMITS;
    this.#authority = authority(options.endpoint, options.endpoint.host);
    this.#clock = startAwakeClock((now) => this.#watch(now));
  }

  /** What the server's clock is ahead of this host's, in ms, as far as it had to be noticed. */
  get clockOffsetMs(): number {
    return this.#clockOffsetMs;
  }

  /**
   * @throws WireError; also with answers that have error statuses the promise is fulfilled
   */
  exchange(request: SignedRequest): Promise<Answer> {
    return this.#exchange(request, 'clock-may-be-wrong');
  }

  /** Signs every exchange from now on; those under way are signed already. */
  useCredentials(credentials: Credentials): void {
    this.#signer = new Signer(credentials, this.#options.region);
  }

  /** Ends all connections; exchanges under way, and any asked for later, are rejected with `aborted`. */
  close(): void {
    this.#closed = true;
    this.#clock.stop();
    for (const connection of this.#open) connection.abort('the client was closed');
    this.#idle.length = 0;
  }

  // One `then` and no async function: this runs twice for every object.
  #exchange(
    request: SignedRequest,
    clock: 'clock-may-be-wrong' | 'clock-is-corrected',
  ): Promise<Answer> {
    const { body, repeatable, answerWithinMs } = request;
    const offsetMs = this.#clockOffsetMs;
    const exchange: ExchangeRequest = {
      method: request.method,
      head: this.#signedHead(request),
      body,
      limits: this.#limits,
      answerWithinMs,
      receive: request.receive,
    };
    // What has passed through cannot be sent again.
    const isPassage = body instanceof Passage;
    const isRepeatable = repeatable && !isPassage;
    const kept = isRepeatable || !this.#distrustsKept() ? this.#takeIdle() : undefined;
    const onAnswer = (answer: Answer): Answer | Promise<Answer> => {
      const isRefused = answer.head.status === 403 && clock === 'clock-may-be-wrong';
      if (!isRepeatable && kept !== undefined) this.#freshPenalty = 0;
      if (!isRefused || !this.#correctClock(answer.head, offsetMs)) return answer;
      if (isPassage) throw new WireError('clock-corrected', CLOCK_CORRECTED, NOT_DONE);
      return this.#exchange(request, 'clock-is-corrected');
    };
    return this.#on(kept, exchange, onAnswer, (error) => {
      const isStale = error instanceof WireError && error.stale;
      if (isStale && !isRepeatable) this.#distrustKept();
      if (kept === undefined || !isRepeatable || !isStale) throw error;
      return this.#on(undefined, exchange, onAnswer, rethrow);
    });
  }

  /** @param kept - where it goes; over a connection of its own when undefined */
  #on(
    kept: Connection | undefined,
    exchange: ExchangeRequest,
    onAnswer: (answer: Answer) => Answer | Promise<Answer>,
    onError: (error: unknown) => Promise<Answer>,
  ): Promise<Answer> {
    if (kept === undefined && this.#closed) {
      // What fills it would wait for ever to be asked for more.
      if (exchange.body instanceof Passage) exchange.body.breakByWriter();
      return Promise.reject(new WireError('aborted', 'the client was closed', NOT_DONE));
    }
    const connection = kept ?? this.#connect();
    return connection.exchange(exchange, this.#clock.now()).then((answer) => {
      if (!connection.closed) this.#idle.push({ connection, since: performance.now() });
      return onAnswer(answer);
    }, onError);
  }

  /** A server that ends connections without a word ends many: twice as many requests as the last time go out on fresh ones. */
  #distrustKept(): void {
    this.#freshPenalty = Math.min(MAX_FRESH_PENALTY, Math.max(1, this.#freshPenalty * 2));
    this.#freshWanted = this.#freshPenalty;
  }

  #distrustsKept(): boolean {
    if (this.#freshWanted === 0) return false;
    this.#freshWanted--;
    return true;
  }

  #takeIdle(): Connection | undefined {
    // The one used last: the others get old and are ended, so a quiet pool shrinks.
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      if (kept.connection.closed) continue;
      if (performance.now() - kept.since <= MAX_IDLE_MS) return kept.connection;
      kept.connection.abort('idle for too long');
    }
    return undefined;
  }

  #connect(): Connection {
    const connection = new Connection(
      this.#options.endpoint,
      this.#clock.now(),
      this.#tlsSession,
      (session) => {
        this.#tlsSession = session;
      },
    );
    this.#open.add(connection);
    connection.onClosed = () => this.#open.delete(connection);
    return connection;
  }

  #watch(awakeNow: number): void {
    for (const connection of this.#open) connection.watch(awakeNow);
    // Whether this thread ran or not, its peers have seen them idle.
    const now = performance.now();
    while (this.#idle[0] !== undefined && now - this.#idle[0].since > MAX_IDLE_MS) {
      this.#idle.shift()?.connection.abort('idle for too long');
    }
  }

  #signedHead(request: SignedRequest): string {
    const host =
      request.host === undefined
        ? this.#authority
        : authority(this.#options.endpoint, request.host);
    const query = canonicalQuery(request.query ?? []);
    const payloadHash =
      request.payloadHash ?? (request.body === undefined ? EMPTY_PAYLOAD : UNSIGNED_PAYLOAD);
    const { method, path, headers = NO_HEADERS } = request;
    const lines = this.#signer.sign(
      { method, path, query, host, headers, payloadHash },
      Date.now() + this.#clockOffsetMs,
    );
    const target = query === '' ? path : `${path}?${query}`;
    const head = `${method} ${target} HTTP/1.1\r\n${lines}`;
    if (request.body !== undefined) return `${head}content-length: ${request.body.length}\r\n\r\n`;
    const hasBody = method === 'PUT' || method === 'POST';
    return hasBody ? `${head}content-length: 0\r\n\r\n` : `${head}\r\n`;
  }

  /**
   * @param offsetMs - what the refused request was signed with; others may have corrected the clock since
   * @returns whether the request was signed for a wrong time, so that it is worth another try
   */
  #correctClock(head: ResponseHead, offsetMs: number): boolean {
    const date = Date.parse(head.headers.get('date') ?? '');
    if (Number.isNaN(date)) return false;
    const told = date - Date.now();
    if (Math.abs(told - offsetMs) < SKEW_TOLERANCE_MS) return false;
    if (Math.abs(told - this.#clockOffsetMs) >= SKEW_TOLERANCE_MS) this.#clockOffsetMs = told;
    return true;
  }
}

function rethrow(error: unknown): never {
  throw error;
}

function canonicalQuery(query: readonly (readonly [string, string])[]): string {
  if (query.length === 0) return '';
  return query
    .map(([name, value]) => [encodeQuery(name), encodeQuery(value)] as const)
    .toSorted(byName)
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** The Host header: the port is left out where it is the scheme's own. */
function authority(endpoint: Endpoint, host: string): string {
  const name = isIPv6(host) ? `[${host}]` : host;
  return endpoint.port === (endpoint.tls === undefined ? 80 : 443)
    ? name
    : `${name}:${endpoint.port}`;
}
