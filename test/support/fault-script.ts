/**
 * Faults scripted onto the embedded S3 server, and a log of what it was asked.
 *
 *     const script = faults(server);
 *     script.on('GetObject', 'photos/a.jpg').truncateAt(100).times(1);
 *     script.on('PUT').status(503, { code: 'SlowDown', retryAfter: 1 }).times(3);
 *     await script.until((requests) => requests.length >= 100);
 *
 * For each request the first rule counts that matches and is not used up. Faults of one rule nest:
 * each wraps those named after it, so `.delay(50).status(503)` waits and then refuses.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ObjectKey } from '../../src/object-key.ts';
import { DEFAULT_PROBE_PREFIX } from '../../src/s3/probe/probe-prefix.ts';
import { type Answer, errorAnswer, sendAnswer } from '../../src/s3-server/answer.ts';
import { RequestCutError } from '../../src/s3-server/payload.ts';
import type { S3Request } from '../../src/s3-server/request.ts';
import { type OperationName, operationOf } from '../../src/s3-server/routing.ts';
import type { Changes, Exchange, Proceed, S3Server } from '../../src/s3-server/server.ts';

/** A request the server has seen. `status` and `bodyBytes` are filled in as it goes on. */
export interface SeenRequest {
  readonly method: string;
  /** Undefined for what the server does not have. */
  readonly operation: OperationName | undefined;
  readonly bucket: string | undefined;
  readonly key: ObjectKey;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
  /** Of the body on the wire; 0 while it has not been read to its end. */
  bodyBytes: number;
  /** Of the answer; undefined while there is none, for ever when a fault takes the socket. */
  status: number | undefined;
}

/** Of its objects, or a listing of them. */
function isOfProbe({ key, query }: S3Request): boolean {
  return [key, query.get('prefix') ?? ''].some((name) => name.includes(DEFAULT_PROBE_PREFIX));
}

type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';

/** How a connection ends: by a FIN, in order, or by an RST. */
type Ending = 'close' | 'reset';

/** Takes the place of the interceptor that the server had. */
export function faults(server: S3Server): FaultScript {
  const script = new FaultScript();
  server.interceptWith((exchange, proceed) => script.intercept(exchange, proceed));
  return script;
}

export class FaultScript {
  /** In order of arrival. */
  readonly requests: SeenRequest[] = [];
  readonly #rules: FaultRule[] = [];
  readonly #waiting = new Set<() => void>();
  #keepsTruncated = false;
  #seesProbe = false;
  #nameOf: (key: ObjectKey) => string = (key) => key;

  /**
   * Begins a rule; it does nothing until a fault is named.
   *
   * @param what a method or an operation: PUT is PutObject, UploadPart and PutObjectTagging
   * @param key a byte string (`keyFromText` for what is not ASCII); any key when left out
   */
  on(what: Method | OperationName, key?: string): FaultRule {
    const rule = new FaultRule((seen) => isOf(seen, what, key));
    this.#rules.push(rule);
    return rule;
  }

  /** Drops all rules; the log and the modes stay. */
  clear(): void {
    this.#rules.length = 0;
  }

  /**
   * From now on what a probe asks below its prefix counts, and rules are for it too. Else both are for
   * what is asked about listed keys alone.
   */
  seeProbe(): this {
    this.#seesProbe = true;
    return this;
  }

  /**
   * From now on a body cut by a close is stored as far as it came, unless a digest forbids it; a
   * part is filled up to its declared size with zeros. So does versitygw 1.8.0.
   */
  keepTruncated(): void {
    this.#keepsTruncated = true;
  }

  /** From now on `/lead` is `lead`, as with MinIO and versitygw. */
  leadingSlashAlias(): void {
    this.nameKeys((key) => key.replace(/^\/+/, ''));
  }

  /** From now on a key is kept under the name that this gives it. */
  nameKeys(nameOf: (key: ObjectKey) => string): void {
    this.#nameOf = nameOf;
  }

  /** How many requests of this kind have arrived. */
  count(what: Method | OperationName, key?: string): number {
    return this.requests.filter((seen) => isOf(seen, what, key)).length;
  }

  /** Resolves when the predicate holds; it is asked whenever a request arrives or is answered. */
  until(predicate: (requests: readonly SeenRequest[]) => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!predicate(this.requests)) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
  }

  /** Resolves when the nth request of this kind has arrived. */
  seen(what: Method | OperationName, nth: number): Promise<void> {
    return this.until(() => this.count(what) >= nth);
  }

  /** For {@link faults}. */
  async intercept(exchange: Exchange, proceed: Proceed): Promise<Answer | undefined> {
    if (!this.#seesProbe && isOfProbe(exchange.request)) return this.#runInMode(exchange, proceed);
    const seen = this.#log(exchange.request);
    const logged: Exchange = {
      ...exchange,
      readBody: async () => {
        const body = await exchange.readBody();
        seen.bodyBytes = body.length;
        return body;
      },
    };
    const rule = this.#rules.find((candidate) => candidate.takes(seen));
    const run = (changes?: Changes) => this.#runInMode(logged, proceed, changes);
    const answer = await (rule === undefined ? run() : rule.apply(logged, run));
    seen.status = answer?.status;
    this.#wake();
    return answer;
  }

  async #runInMode(exchange: Exchange, proceed: Proceed, changes: Changes = {}): Promise<Answer> {
    const request = this.#aliased(changes.request ?? exchange.request);
    try {
      const answer = await proceed({ ...changes, request });
      // Read already, unless the request was refused before its body.
      if (exchange.incoming.complete) await exchange.readBody();
      return answer;
    } catch (error) {
      if (this.#keepsTruncated && error instanceof RequestCutError && error.cut === 'closed') {
        await proceed({ request, rawBody: keptOf(error.received, request) });
        this.#wake();
      }
      throw error;
    }
  }

  #aliased(request: S3Request): S3Request {
    return { ...request, key: this.#nameOf(request.key) as ObjectKey };
  }

  #log(request: S3Request): SeenRequest {
    const { method, bucket, key, query, headers } = request;
    const operation = operationOf(request);
    const about = { method, operation, bucket, key, query, headers };
    const seen: SeenRequest = { ...about, bodyBytes: 0, status: undefined };
    this.requests.push(seen);
    this.#wake();
    return seen;
  }

  #wake(): void {
    for (const check of this.#waiting) check();
  }
}

function isOf(seen: SeenRequest, what: Method | OperationName, key: string | undefined): boolean {
  return (
    (seen.method === what || seen.operation === what) && (key === undefined || seen.key === key)
  );
}

function keptOf(received: Buffer, request: S3Request): Buffer {
  if (operationOf(request) !== 'UploadPart') return received;
  const declared = Number(request.headers.get('content-length') ?? received.length);
  return Buffer.concat([received], declared);
}

/** What a fault wraps: the faults named after it, and in the end the operation itself. */
type Next = (changes?: Changes) => Promise<Answer | undefined>;

type Fault = (exchange: Exchange, next: Next) => Promise<Answer | undefined>;

export interface RefusalOptions {
  /** S3's word for it; `Fault` by default. */
  code?: string;
  message?: string;
  /** The Retry-After header as it is to be sent: seconds, a date, or rubbish. */
  retryAfter?: string | number;
  /**
   * Answer without waiting for the body. `drain`: what comes is then thrown away. `reset`: the
   * connection is reset, so that the client may lose the answer.
   */
  unread?: 'drain' | 'reset';
}

/** For which requests (`times`, `skip`, `where`), and what goes wrong with them. */
export class FaultRule {
  readonly #matches: (seen: SeenRequest) => boolean;
  readonly #faults: Fault[] = [];
  #where: (seen: SeenRequest) => boolean = () => true;
  #toSkip = 0;
  #left = Number.POSITIVE_INFINITY;

  constructor(matches: (seen: SeenRequest) => boolean) {
    this.#matches = matches;
  }

  /** Only for the first n requests; for all of them by default. */
  times(n: number): this {
    this.#left = n;
    return this;
  }

  /** Lets the first n matching requests pass. */
  skip(n: number): this {
    this.#toSkip = n;
    return this;
  }

  where(predicate: (seen: SeenRequest) => boolean): this {
    this.#where = predicate;
    return this;
  }

  /** For {@link FaultScript}: whether the rule is for this request, which then is used up. */
  takes(seen: SeenRequest): boolean {
    if (this.#faults.length === 0 || this.#left === 0) return false;
    if (!this.#matches(seen) || !this.#where(seen)) return false;
    if (this.#toSkip > 0) {
      this.#toSkip--;
      return false;
    }
    this.#left--;
    return true;
  }

  /** For {@link FaultScript}. */
  apply(exchange: Exchange, run: Proceed): Promise<Answer | undefined> {
    const whole = this.#faults.reduceRight<Next>(
      (next, fault) => (changes) =>
        fault(exchange, (further) =>
          next(changes === undefined ? further : { ...changes, ...further }),
        ),
      run,
    );
    return whole();
  }

  // Before the operation.

  /** Refuses instead of running the operation. With 200 it is a success with an Error inside. */
  status(status: number, options: RefusalOptions = {}): this {
    return this.#add(async (exchange) => {
      const answer = refusal(exchange, status, options);
      if (options.unread === undefined) await exchange.readBody();
      if (options.unread !== 'reset') return answer;
      exchange.response.once('finish', () => end(exchange, 'reset'));
      sendAnswer(exchange.response, answer);
      return undefined;
    });
  }

  delay(ms: number): this {
    return this.#add(async (_, next) => {
      await sleep(ms);
      return next();
    });
  }

  /** Does something first: overwrite the object, resolve a promise, wait for one. */
  before(action: (exchange: Exchange) => unknown): this {
    return this.#add(async (exchange, next) => {
      await action(exchange);
      return next();
    });
  }

  /** Takes the request, body and all, and never answers; nothing is run. */
  hang(): this {
    return this.#add(async (exchange) => {
      await exchange.readBody();
      return undefined;
    });
  }

  /** Takes the request, body and all, and ends the connection without an answer; nothing is run. */
  disconnect(ending: Ending = 'reset'): this {
    return this.#add(async (exchange) => {
      await exchange.readBody();
      return end(exchange, ending);
    });
  }

  /** Ends the connection once so much of the request's body has arrived; nothing is run. */
  disconnectAfterReading(bytes: number, ending: Ending = 'reset'): this {
    return this.#add(async (exchange, next) => {
      let arrived = 0;
      let isOver = false;
      exchange.incoming.on('data', (chunk: Buffer) => {
        arrived += chunk.length;
        if (arrived < bytes || isOver) return;
        isOver = true;
        end(exchange, ending);
      });
      await exchange.readBody();
      return isOver ? undefined : next();
    });
  }

  /** Does as if If-Match and If-None-Match had not been sent. */
  ignoreConditions(): this {
    return this.ignoreHeaders('if-match', 'if-none-match');
  }

  /** Does as if these headers had not been sent, by lower-case name; a digest among them is not verified. */
  ignoreHeaders(...names: readonly string[]): this {
    return this.#add((exchange, next) => {
      const headers = new Map(exchange.request.headers);
      for (const name of names) headers.delete(name);
      return next({ request: { ...exchange.request, headers } });
    });
  }

  /** Runs the operation for another request; the signature is that of the one that came. */
  changeRequest(change: (request: S3Request) => S3Request): this {
    return this.#add((exchange, next) => next({ request: change(exchange.request) }));
  }

  /** Flips a bit of the body on its way in, before digests are looked at. */
  corruptUpload(at = 0): this {
    return this.#add(async (exchange, next) =>
      next({ rawBody: withFlippedBit(await exchange.readBody(), at) }),
    );
  }

  // After the operation.

  /** Runs the operation and ends the connection without an answer. */
  loseAnswer(ending: Ending = 'reset'): this {
    return this.#add(async (exchange, next) => {
      await next();
      return end(exchange, ending);
    });
  }

  /** Does something between the operation and its answer. */
  after(action: (exchange: Exchange) => unknown): this {
    return this.#add(async (exchange, next) => {
      const answer = await next();
      await action(exchange);
      return answer;
    });
  }

  /** Any other change of the answer. */
  alter(change: (answer: Answer, exchange: Exchange) => Answer): this {
    return this.#add(async (exchange, next) => {
      const answer = await next();
      return answer === undefined ? undefined : change(answer, exchange);
    });
  }

  /** Sets a header of the answer; undefined takes it away. */
  header(name: string, value: string | undefined): this {
    return this.alter((answer) => {
      const { [name]: _, ...others } = answer.headers;
      return { ...answer, headers: value === undefined ? others : { ...others, [name]: value } };
    });
  }

  /** Without quotes. */
  etag(etag: string): this {
    return this.header('etag', `"${etag}"`);
  }

  /** Flips a bit of the body on its way out. */
  corrupt(at = 0): this {
    return this.alter((answer) => ({ ...answer, body: withFlippedBit(answer.body, at) }));
  }

  /** Less than the whole body, in a well-formed answer whose Content-Length agrees. */
  shorten(bytes: number): this {
    return this.alter((answer) => ({ ...answer, body: answer.body.subarray(0, bytes) }));
  }

  /** The right Content-Length, so much of the body, then the end of the connection. */
  truncateAt(bytes: number, ending: Ending = 'close'): this {
    return this.deliver(async (exchange, answer) => {
      await sendStart(exchange, answer, bytes);
      end(exchange, ending);
    });
  }

  /** The right Content-Length, so much of the body, then nothing for ever. */
  stallAt(bytes: number): this {
    return this.deliver((exchange, answer) => sendStart(exchange, answer, bytes));
  }

  /** A few bytes at a time. */
  trickle({ bytes, everyMs }: { bytes: number; everyMs: number }): this {
    return this.deliver(async ({ response }, { status, headers, body }) => {
      response.writeHead(status, { ...headers, 'content-length': String(body.length) });
      for (let at = 0; at < body.length && !response.destroyed; at += bytes) {
        response.write(body.subarray(at, at + bytes));
        await sleep(everyMs);
      }
      response.end();
    });
  }

  /** Runs the operation, sends these bytes (a byte string) in place of its answer, and ends the connection. */
  sendRaw(bytes: string, ending: Ending = 'close'): this {
    return this.deliver(async (exchange) => {
      await new Promise((resolve) => exchange.incoming.socket.write(bytes, 'latin1', resolve));
      end(exchange, ending);
    });
  }

  /** No Content-Length: chunked, or up to the end of the connection. */
  withoutLength(framing: 'chunked' | 'until-close' = 'chunked'): this {
    return this.deliver(({ response }, { status, headers, body }) => {
      if (framing === 'until-close') {
        response.useChunkedEncodingByDefault = false;
        response.shouldKeepAlive = false;
      }
      response.writeHead(status, headers);
      response.end(body);
    });
  }

  /** The whole body under another Content-Length. */
  declareLength(bytes: number): this {
    return this.deliver(({ response }, { status, headers, body }) => {
      response.writeHead(status, { ...headers, 'content-length': String(bytes) });
      response.end(body);
    });
  }

  /** Runs the operation and leaves it to `send` how its answer goes out, byte for byte if need be. */
  deliver(send: (exchange: Exchange, answer: Answer) => void | Promise<void>): this {
    return this.#add(async (exchange, next) => {
      const answer = await next();
      if (answer !== undefined) await send(exchange, answer);
      return undefined;
    });
  }

  #add(fault: Fault): this {
    this.#faults.push(fault);
    return this;
  }
}

function refusal(exchange: Exchange, status: number, options: RefusalOptions): Answer {
  const { code = 'Fault', message = 'A fault of the test', retryAfter } = options;
  const answer = errorAnswer(exchange.request, exchange.requestId, { status, code, message });
  if (retryAfter === undefined) return answer;
  return { ...answer, headers: { ...answer.headers, 'retry-after': String(retryAfter) } };
}

/** Sends the head and the start of the body; resolves when the system has taken them. */
async function sendStart(exchange: Exchange, answer: Answer, bytes: number): Promise<void> {
  const { response } = exchange;
  response.writeHead(answer.status, {
    ...answer.headers,
    'content-length': String(answer.body.length),
  });
  response.flushHeaders();
  if (bytes > 0) response.write(answer.body.subarray(0, bytes));
  await new Promise((resolve) => response.socket?.write('', resolve));
}

function end({ incoming: { socket } }: Exchange, ending: Ending): undefined {
  if (ending === 'reset') socket.resetAndDestroy();
  else socket.destroySoon();
}

function withFlippedBit(body: Buffer, at: number): Buffer {
  const copy = Buffer.from(body);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}
