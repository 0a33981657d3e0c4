/**
 * One connection to an S3 endpoint: one HTTP/1.1 exchange at a time over a socket that is kept
 * between exchanges.
 *
 * It never mixes two exchanges up: a connection on which anything was left over, cut short, or
 * unasked for is ended and not used again. It ends a request that is cut in the middle by a reset, never by
 * a plain close, because some stores keep the truncated object of a request that was closed.
 * Every wait has an end (see {@link TimeLimits}). It does not retry and knows nothing of S3.
 */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ChunkedBody } from './chunked-body.ts';
import { CollectedBody } from './collected-body.ts';
import { lookUpName } from './name-lookup.ts';
import { Passage } from './passage.ts';
import {
  type BodyFraming,
  framingOf,
  MAX_HEAD_BYTES,
  MalformedAnswer,
  parseResponseHead,
  type ResponseHead,
} from './response-head.ts';
import { WireError, type WireErrorCode } from './wire-error.ts';

export interface TlsOptions {
  /** PEM certificates to trust instead of the bundled ones. */
  readonly ca?: string | undefined;
  /** Whether a certificate that cannot be verified ends the connection. */
  readonly verify: boolean;
}

export interface Endpoint {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly tls: TlsOptions | undefined;
}

export interface TimeLimits {
  /** From the start of connecting to a connection that is ready: looking the name up, TCP and TLS. */
  readonly connectMs: number;
  /** From the last byte of the request to the first of the answer. Interim answers (1xx) are none. */
  readonly firstByteMs: number;
  /** Between two bytes of content or of a head, in either direction, while a request or an answer is under way. */
  readonly idleMs: number;
  /** Least bytes that must move in any `throughputWindowMs` while a request or an answer is under way. */
  readonly throughputMinBytes: number;
  readonly throughputWindowMs: number;
  /**
   * From the last byte of a request that takes the server long to the last of its answer: putting ten thousand parts
   * together, in silence or with a blank now and then.
   */
  readonly completeMs: number;
}

export const TIME_LIMITS: TimeLimits = {
  connectMs: 10_000,
  firstByteMs: 60_000,
  idleMs: 30_000,
  throughputMinBytes: 64 * 1024,
  throughputWindowMs: 60_000,
  completeMs: 15 * 60_000,
};

/** Where an answer's body goes. */
export type BodyReceiver =
  /**
   * Straight into `buffer`, whose length must be the body's exactly. `onPiece` is shown each piece of it as
   * soon as it is there.
   */
  | {
      readonly kind: 'into';
      readonly buffer: Buffer;
      readonly onPiece?: ((piece: Buffer) => void) | undefined;
    }
  /** Collected, at most `limit` bytes; a longer body is cut there and its connection ended. */
  | { readonly kind: 'collect'; readonly limit: number }
  /** Handed on piece by piece; its length must be the body's exactly. */
  | { readonly kind: 'pass'; readonly passage: Passage }
  /** Not read: the exchange ends with the head, and the connection with it unless there is no body. */
  | { readonly kind: 'stop' };

export type RequestBody = Buffer | CollectedBody | Passage;

export interface ExchangeRequest {
  readonly method: string;
  /** Request line and headers up to and with the empty line, as a byte string. */
  readonly head: string;
  /** Content-Length bytes exactly, or undefined for none. Must not change until the exchange ends. */
  readonly body: RequestBody | undefined;
  readonly limits: TimeLimits;
  /**
   * For a request that takes the server long: the whole answer is there within so many ms of the last byte of the
   * request, however it is spread. Takes the place of the limits on an answer.
   */
  readonly answerWithinMs?: number | undefined;
  /**
   * Called once, with the final answer's head; a promise holds the body back until it is settled. What it
   * throws ends the exchange as the cause of an `aborted` WireError.
   */
  readonly receive: (head: ResponseHead) => BodyReceiver | Promise<BodyReceiver>;
}

export interface Answer {
  readonly head: ResponseHead;
  /** What a `collect` receiver gathered; the buffer of `into`; empty for `pass` and `stop`. */
  readonly body: Buffer;
  /** False when `stop` or the limit of `collect` cut the body. */
  readonly whole: boolean;
}

/** The request body is handed to the socket in slices, so that its progress is seen and an early answer stops it. */
const WRITE_SLICE_BYTES = 256 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n', 'latin1');
const READ_BUFFER_BYTES = 64 * 1024;
/** Most that one read puts into a receiver's buffer: more would have left the processor's cache before it is hashed. */
const DIRECT_READ_BYTES = 256 * 1024;
/** Most 1xx answers before the final one. */
const MAX_INTERIM_ANSWERS = 32;
/** From when on a quiet connection asks its peer, and any NAT between, whether they still know it. */
const KEEP_ALIVE_AFTER_MS = 60_000;

/** Bytes are consumed before a read callback returns, so one buffer serves every connection of the thread. */
let sharedReadBuffer: Buffer | undefined;
function readBuffer(): Buffer {
  sharedReadBuffer ??= Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  return sharedReadBuffer;
}

/** What of the answer is read next. */
type Reading = 'head' | 'deciding' | 'body';

interface Exchange {
  readonly request: ExchangeRequest;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: WireError) => void;
  reading: Reading;
  /** The unfinished head, as a byte string. */
  headText: string;
  interimAnswers: number;
  head: ResponseHead | undefined;
  framing: BodyFraming;
  receiver: BodyReceiver | undefined;
  /** Body bytes received. */
  received: number;
  chunked: ChunkedBody | undefined;
  collected: Buffer[];
  /** Bytes that came while `receive` was deciding. */
  held: Buffer[];
  /** Request bytes the socket has taken over, and those it has flushed. */
  handedOver: number;
  flushed: boolean;
  /** Since when the answer is waited for; undefined while the request is on its way. This and the next in monotonic ms. */
  waitsSince: number | undefined;
  lastProgress: number;
  windowStart: number;
  windowBytes: number;
}

export class Connection {
  readonly #endpoint: Endpoint;
  readonly #socket: Socket | TLSSocket;
  /** The TCP socket below: itself without TLS. A reset is sent there. */
  readonly #tcp: Socket;
  #ready = false;
  #lookedUp: boolean;
  #closed = false;
  #closeReason: Error | undefined;
  #exchange: Exchange | undefined;
  #served = 0;
  #moved = 0;
  /** Set while the next read goes straight into an `into` receiver's buffer. */
  #direct = false;
  #readInto: Uint8Array = readBuffer();
  readonly #openedAt: number;
  /** Called once, when the connection can serve no more. */
  onClosed: () => void = () => {};

  /**
   * Begins to connect; the first exchange may be given at once.
   *
   * @param session a TLS session to resume
   * @param onSession gets each TLS session the peer offers
   */
  constructor(
    endpoint: Endpoint,
    now: number,
    session?: Buffer,
    onSession?: (session: Buffer) => void,
  ) {
    this.#endpoint = endpoint;
    this.#openedAt = now;
    this.#lookedUp = isIP(endpoint.host) !== 0;
    const address = {
      host: endpoint.host,
      port: endpoint.port,
      lookup: lookUpName,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS,
      // Node gives each address of a name but the last a quarter of a second, too little for a slow link.
      autoSelectFamilyAttemptTimeout: 3000,
    };
    if (endpoint.tls === undefined) {
      this.#tcp = connectTcp({
        ...address,
        onread: {
          // Evaluated after every read: the next one goes where this points.
          buffer: () => this.#readInto,
          callback: (bytesRead, buffer) => this.#onRead(bytesRead, buffer),
        },
      });
      this.#socket = this.#tcp;
      this.#tcp.once('connect', () => this.#onReady());
    } else {
      this.#tcp = connectTcp(address);
      const tls = connectTls({
        socket: this.#tcp,
        // The certificate must be for this; without it an address would be checked as `localhost`.
        host: endpoint.host,
        ALPNProtocols: ['http/1.1'],
        minVersion: 'TLSv1.2',
        rejectUnauthorized: endpoint.tls.verify,
        ...(isIP(endpoint.host) === 0 ? { servername: endpoint.host } : {}),
        ...(endpoint.tls.ca === undefined ? {} : { ca: endpoint.tls.ca }),
        ...(session === undefined ? {} : { session }),
      });
      this.#socket = tls;
      tls.once('secureConnect', () => this.#onReady());
      if (onSession !== undefined) tls.on('session', onSession);
      tls.on('data', (bytes: Buffer) => this.#onBytes(bytes));
      // The wrapped socket reports its own failures; those that matter reach the TLS socket too.
      this.#tcp.on('error', (error) => this.#close(error));
    }
    this.#tcp.once('lookup', () => {
      this.#lookedUp = true;
    });
    this.#socket.on('error', (error) => this.#close(error));
    this.#socket.on('end', () => this.#onEnd());
    this.#socket.on('close', () => this.#close(undefined));
  }

  /** Exchanges this connection has finished. */
  get served(): number {
    return this.#served;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Sends one request and reads its answer. One exchange at a time.
   *
   * @param now monotonic ms, of the clock that {@link watch} is called with
   * @throws WireError
   */
  exchange(request: ExchangeRequest, now: number): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      if (this.#exchange !== undefined) throw new Error('an exchange is under way already');
      this.#exchange = {
        request,
        resolve,
        reject,
        reading: 'head',
        headText: '',
        interimAnswers: 0,
        head: undefined,
        framing: { kind: 'until-close' },
        receiver: undefined,
        received: 0,
        chunked: undefined,
        collected: [],
        held: [],
        handedOver: 0,
        flushed: false,
        waitsSince: undefined,
        lastProgress: now,
        windowStart: now,
        windowBytes: 0,
      };
      this.#moved = 0;
      if (this.#closed) this.#fail('closed', 'the connection was closed');
      else this.#send(this.#exchange);
    });
  }

  /** Ends the connection and any exchange on it, by a reset. */
  abort(reason: string): void {
    if (this.#exchange !== undefined) this.#fail('aborted', reason);
    else this.#reset();
  }

  /** To be called about twice a second: ends an exchange that has waited too long. */
  watch(now: number): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    const { limits, body, answerWithinMs } = exchange.request;
    if (!this.#ready) {
      beginWindow(exchange, now);
      if (now - this.#openedAt > limits.connectMs) {
        const what = this.#lookedUp ? 'no connection' : 'the host name was not looked up';
        this.#fail('connect-timeout', `${what} within ${limits.connectMs / 1000} s`);
      }
      return;
    }
    // Where the other end of a passage is the slow one, its own connection is the one to judge.
    const held =
      exchange.reading === 'deciding' ||
      (exchange.receiver?.kind === 'pass' && exchange.receiver.passage.full) ||
      (body instanceof Passage && exchange.reading === 'head' && body.hungry);
    if (held) {
      exchange.lastProgress = now;
      this.#moved = 0;
      beginWindow(exchange, now);
      return;
    }
    if (this.#moved > 0) {
      exchange.lastProgress = now;
      exchange.windowBytes += this.#moved;
      this.#moved = 0;
    }
    if (exchange.flushed) {
      exchange.waitsSince ??= now;
      const waitedMs = now - exchange.waitsSince;
      if (answerWithinMs !== undefined) {
        if (waitedMs > answerWithinMs) this.#failUnanswered(exchange, answerWithinMs);
        return;
      }
      if (exchange.reading === 'head' && exchange.headText === '') {
        beginWindow(exchange, now);
        if (waitedMs > limits.firstByteMs) this.#failUnanswered(exchange, limits.firstByteMs);
        return;
      }
    }
    if (now - exchange.lastProgress > limits.idleMs) {
      this.#fail('idle-timeout', `no byte moved for ${limits.idleMs / 1000} s`);
      return;
    }
    if (now - exchange.windowStart < limits.throughputWindowMs) return;
    if (exchange.windowBytes < limits.throughputMinBytes) {
      this.#fail(
        'too-slow',
        `only ${exchange.windowBytes} bytes moved in ${limits.throughputWindowMs / 1000} s`,
      );
      return;
    }
    beginWindow(exchange, now);
  }

  #failUnanswered({ head }: Exchange, afterMs: number): void {
    const within = `within ${afterMs / 1000} s`;
    if (head === undefined) this.#fail('first-byte-timeout', `no answer ${within}`);
    else this.#fail('too-slow', `the answer was not whole ${within}`);
  }

  #onReady(): void {
    this.#ready = true;
    this.#moved++;
  }

  #send(exchange: Exchange): void {
    const { head, body } = exchange.request;
    if (body === undefined || body.length === 0) {
      this.#socket.write(head, 'latin1', () => this.#onFlushed(exchange, 0));
      return;
    }
    if (body instanceof Passage) {
      this.#socket.write(head, 'latin1');
      this.#sendPassage(exchange, body);
      return;
    }
    // Only what is one slice anyway: of a longer write neither progress nor an early answer could be told.
    const fits = body instanceof CollectedBody && body.length <= WRITE_SLICE_BYTES;
    const joined = fits ? body.withHead(head) : undefined;
    if (joined !== undefined) {
      exchange.handedOver = body.length;
      this.#socket.write(joined, () => this.#onFlushed(exchange, body.length));
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, 'latin1');
    this.#sendSlice(exchange, body instanceof CollectedBody ? body.content : body);
    this.#socket.uncork();
  }

  #sendSlice(exchange: Exchange, body: Buffer): void {
    const from = exchange.handedOver;
    const slice = body.subarray(from, from + WRITE_SLICE_BYTES);
    exchange.handedOver += slice.length;
    this.#socket.write(slice, () => this.#onSlice(exchange, body));
  }

  #sendPassage(exchange: Exchange, passage: Passage): void {
    passage.connectWriter({
      write: (bytes) => {
        exchange.handedOver += bytes.length;
        this.#socket.write(bytes, () => {
          if (this.#exchange !== exchange) return;
          this.#moved += bytes.length;
          exchange.flushed = exchange.handedOver === passage.length;
          passage.flushed();
        });
        // Nothing is queued when the kernel has taken all of it within the call: the memory is free again.
        return this.#endpoint.tls === undefined && this.#ready && this.#socket.writableLength === 0;
      },
      fail: (reason) => {
        if (this.#exchange === exchange) this.#fail('aborted', 'its source broke off', reason);
      },
    });
  }

  #onSlice(exchange: Exchange, body: Buffer): void {
    if (this.#exchange !== exchange) return;
    if (exchange.handedOver === body.length) {
      this.#onFlushed(exchange, WRITE_SLICE_BYTES);
      return;
    }
    this.#moved += WRITE_SLICE_BYTES;
    // After an early answer the rest of the body is not wanted.
    if (exchange.reading === 'head') this.#sendSlice(exchange, body);
  }

  /** @param moved - bytes that have gone out now with the end of the request */
  #onFlushed(exchange: Exchange, moved: number): void {
    if (this.#exchange !== exchange) return;
    this.#moved += 1 + moved;
    exchange.flushed = true;
  }

  /** @returns false to stop reading until the socket is resumed */
  #onRead(bytesRead: number, buffer: Uint8Array): boolean {
    if (this.#direct) {
      this.#onDirect(this.#exchange as Exchange, bytesRead);
    } else {
      this.#onBytes(Buffer.from(buffer.buffer, buffer.byteOffset, bytesRead));
    }
    this.#aimNextRead();
    const next = this.#exchange;
    return !(
      next?.reading === 'deciding' ||
      (next?.receiver?.kind === 'pass' && next.receiver.passage.full)
    );
  }

  #onDirect(exchange: Exchange, bytesRead: number): void {
    const from = exchange.received;
    exchange.received += bytesRead;
    this.#moved += bytesRead;
    showPiece(exchange, from);
  }

  /**
   * Points the next read at a passage's own buffer, which may be held until it is flushed; or straight
   * at the receiver's buffer where that is possible: up to the body's last byte, which is read into the shared buffer. A read with no room beyond the body would leave
   * bytes that came with its end for the next exchange to find.
   */
  #aimNextRead(): void {
    const exchange = this.#exchange;
    if (exchange?.reading === 'body' && exchange.receiver?.kind === 'pass') {
      this.#direct = false;
      this.#readInto = exchange.receiver.passage.buffer;
    } else if (
      exchange?.reading === 'body' &&
      exchange.receiver?.kind === 'into' &&
      exchange.received < exchange.receiver.buffer.length - 1
    ) {
      this.#direct = true;
      const { receiver, received } = exchange;
      const end = Math.min(received + DIRECT_READ_BYTES, receiver.buffer.length - 1);
      this.#readInto = receiver.buffer.subarray(received, end);
    } else {
      this.#direct = false;
      this.#readInto = readBuffer();
    }
  }

  #onBytes(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length && !this.#closed) {
      const exchange = this.#exchange;
      if (exchange === undefined) {
        // Nobody asked: what follows could be taken for the answer to the next request.
        this.#reset();
        return;
      }
      try {
        at += this.#take(exchange, at === 0 ? bytes : bytes.subarray(at));
      } catch (error) {
        if (!(error instanceof MalformedAnswer)) throw error;
        this.#fail('malformed', `the answer is malformed: ${error.message}`);
      }
    }
  }

  /** @returns how many of the bytes were consumed */
  #take(exchange: Exchange, bytes: Buffer): number {
    switch (exchange.reading) {
      case 'head':
        return this.#takeHead(exchange, bytes);
      case 'deciding':
        exchange.held.push(Buffer.from(bytes));
        if (this.#endpoint.tls !== undefined) this.#socket.pause();
        return bytes.length;
      case 'body':
        return this.#takeBody(exchange, bytes);
    }
  }

  #takeHead(exchange: Exchange, bytes: Buffer): number {
    this.#moved += bytes.length;
    const before = exchange.headText;
    let text: string;
    /** Where the head ends in `text`; -1 before it does. */
    let end: number;
    if (before === '') {
      end = bytes.indexOf(HEAD_END);
      text = bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
    } else {
      // The end may be split over two reads: look from three bytes before the border.
      text = before + bytes.toString('latin1');
      end = text.indexOf('\r\n\r\n', Math.max(0, before.length - 3));
      if (end >= 0) text = text.slice(0, end);
    }
    if (text.length > MAX_HEAD_BYTES) throw new MalformedAnswer('an endless head');
    if (end < 0) {
      exchange.headText = text;
      return bytes.length;
    }
    exchange.headText = '';
    const head = parseResponseHead(text);
    if (head.status === 101) throw new MalformedAnswer('101 to a request that did not ask for it');
    if (head.status >= 200) {
      this.#decide(exchange, head);
    } else if (++exchange.interimAnswers > MAX_INTERIM_ANSWERS) {
      throw new MalformedAnswer('endless interim answers');
    }
    return end + HEAD_END.length - before.length;
  }

  #decide(exchange: Exchange, head: ResponseHead): void {
    exchange.head = head;
    exchange.framing = framingOf(head, exchange.request.method);
    const bodyBytes = exchange.request.body?.length ?? 0;
    if (head.status < 300 && exchange.handedOver < bodyBytes) {
      throw new MalformedAnswer('success before the request was sent');
    }
    exchange.reading = 'deciding';
    let receiver: BodyReceiver | Promise<BodyReceiver>;
    try {
      receiver = exchange.request.receive(head);
    } catch (error) {
      this.#refuse(exchange, error);
      return;
    }
    if (receiver instanceof Promise) {
      receiver.then(
        (decided) => this.#resume(exchange, decided),
        (error: unknown) => this.#refuse(exchange, error),
      );
    } else {
      this.#begin(exchange, receiver);
    }
  }

  #refuse(exchange: Exchange, cause: unknown): void {
    if (this.#exchange === exchange) this.#fail('aborted', 'the answer was refused', cause);
  }

  #resume(exchange: Exchange, receiver: BodyReceiver): void {
    if (this.#exchange !== exchange) {
      // Whoever waits for what the passage brings must learn that nothing comes.
      if (receiver.kind === 'pass') receiver.passage.breakByReader(new Error('its source is gone'));
      return;
    }
    const { held } = exchange;
    exchange.held = [];
    try {
      this.#begin(exchange, receiver);
    } catch (error) {
      if (!(error instanceof MalformedAnswer)) throw error;
      this.#fail('malformed', `the answer is malformed: ${error.message}`);
      return;
    }
    if (held.length > 0) this.#onBytes(Buffer.concat(held));
    const waits = this.#exchange === exchange && receiver.kind === 'pass' && receiver.passage.full;
    if (!this.#closed && !waits) this.#socket.resume();
  }

  #begin(exchange: Exchange, receiver: BodyReceiver): void {
    exchange.receiver = receiver;
    exchange.reading = 'body';
    const { framing } = exchange;
    if (receiver.kind === 'stop') {
      const empty = framing.kind === 'length' && framing.bytes === 0;
      this.#finish(exchange, empty);
      return;
    }
    if (receiver.kind === 'into' || receiver.kind === 'pass') {
      const { length } = receiver.kind === 'into' ? receiver.buffer : receiver.passage;
      if (framing.kind !== 'length' || framing.bytes !== length) {
        this.#refuse(exchange, new Error('the receiver is not as long as the body'));
        return;
      }
    }
    if (receiver.kind === 'pass') {
      receiver.passage.connectReader({
        resume: () => {
          if (this.#exchange === exchange) this.#socket.resume();
        },
        stop: () => {
          if (this.#exchange === exchange) this.#finish(exchange, false);
        },
      });
      if (this.#exchange !== exchange) return;
    }
    if (framing.kind === 'chunked') exchange.chunked = new ChunkedBody();
    this.#endBodyWhenWhole(exchange);
  }

  #takeBody(exchange: Exchange, bytes: Buffer): number {
    const { framing } = exchange;
    switch (framing.kind) {
      case 'length': {
        const own = bytes.subarray(0, framing.bytes - exchange.received);
        this.#deliver(exchange, own);
        this.#endBodyWhenWhole(exchange);
        return own.length;
      }
      case 'chunked': {
        const chunked = exchange.chunked as ChunkedBody;
        const taken = chunked.take(bytes, (content) => this.#deliver(exchange, content));
        if (chunked.done && this.#exchange === exchange) this.#finish(exchange, true);
        return taken;
      }
      case 'until-close':
        this.#deliver(exchange, bytes);
        return bytes.length;
    }
  }

  #deliver(exchange: Exchange, content: Buffer): void {
    if (this.#exchange !== exchange) return;
    // Not what frames it: a chunk's header may be longer than its content, and go on for ever.
    this.#moved += content.length;
    const receiver = exchange.receiver as BodyReceiver;
    switch (receiver.kind) {
      case 'into': {
        const from = exchange.received;
        content.copy(receiver.buffer, from);
        exchange.received += content.length;
        showPiece(exchange, from);
        return;
      }
      case 'pass': {
        exchange.received += content.length;
        // The first piece lies in the buffer that all connections share; TLS brings each in one of its own.
        const shared = this.#endpoint.tls === undefined && this.#readInto === sharedReadBuffer;
        const own = shared ? copyInto(receiver.passage, content) : content;
        const more = exchange.received < receiver.passage.length;
        // Not after the last piece: nobody would resume the connection for the next exchange.
        if (!receiver.passage.take(own) && more && this.#endpoint.tls !== undefined) {
          this.#socket.pause();
        }
        return;
      }
      case 'collect': {
        const room = receiver.limit - exchange.received;
        exchange.collected.push(Buffer.from(content.subarray(0, room)));
        exchange.received += content.length;
        if (content.length > room) this.#finish(exchange, false);
        return;
      }
      case 'stop':
        return;
    }
  }

  #endBodyWhenWhole(exchange: Exchange): void {
    const { framing } = exchange;
    if (this.#exchange !== exchange || framing.kind !== 'length') return;
    if (exchange.received === framing.bytes) this.#finish(exchange, true);
  }

  #finish(exchange: Exchange, whole: boolean): void {
    const head = exchange.head as ResponseHead;
    const { receiver } = exchange;
    this.#exchange = undefined;
    this.#served++;
    if (exchange.request.body instanceof Passage && !exchange.flushed) {
      exchange.request.body.breakByWriter();
    }
    const clean =
      whole && head.keepAlive && exchange.flushed && exchange.framing.kind !== 'until-close';
    if (!clean) this.#reset();
    const body = receiver?.kind === 'into' ? receiver.buffer : Buffer.concat(exchange.collected);
    exchange.resolve({ head, body, whole });
  }

  #onEnd(): void {
    const exchange = this.#exchange;
    if (exchange?.reading === 'body' && exchange.framing.kind === 'until-close') {
      this.#finish(exchange, true);
    } else {
      this.#close(undefined);
    }
  }

  /** The socket is gone, or its peer has ended it. */
  #close(reason: Error | undefined): void {
    this.#closeReason ??= reason;
    if (this.#exchange !== undefined) {
      if (!this.#ready) this.#fail('connect-failed', connectFailure(this.#closeReason));
      else if (isNoHttp(this.#exchange)) {
        this.#fail('malformed', 'the answer is malformed: no HTTP/1.1 status line');
      } else this.#fail('closed', closeMessage(this.#exchange, this.#closeReason));
    } else {
      this.#reset();
    }
  }

  #fail(code: WireErrorCode, message: string, cause: unknown = this.#closeReason): void {
    const exchange = this.#exchange as Exchange;
    this.#exchange = undefined;
    const nothingRead =
      exchange.headText === '' && exchange.interimAnswers === 0 && exchange.head === undefined;
    const stale = code === 'closed' && this.#served > 0 && nothingRead;
    this.#reset();
    if (exchange.request.body instanceof Passage) exchange.request.body.breakByWriter();
    if (exchange.receiver?.kind === 'pass') {
      exchange.receiver.passage.breakByReader(new Error(message));
    }
    exchange.reject(new WireError(code, message, { sent: this.#ready, stale, cause }));
  }

  #reset(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Before the handshake is through there is nothing to reset, and Node's TLS socket cannot send one itself.
    if (this.#tcp.connecting) this.#tcp.destroy();
    else this.#tcp.resetAndDestroy();
    this.#socket.destroy();
    this.onClosed();
  }
}

/** The passage's own memory, where it is free: 64 KiB allocated anew for each object cost more than to copy them. */
function copyInto(passage: Passage, content: Buffer): Buffer {
  if (passage.full) return Buffer.from(content);
  content.copy(passage.buffer);
  return passage.buffer.subarray(0, content.length);
}

/** Shows an `into` receiver what has arrived in its buffer. */
function showPiece({ receiver, received }: Exchange, from: number): void {
  if (receiver?.kind === 'into') receiver.onPiece?.(receiver.buffer.subarray(from, received));
}

/** Begins to count the bytes of a throughput window. */
function beginWindow(exchange: Exchange, now: number): void {
  exchange.windowStart = now;
  exchange.windowBytes = 0;
}

/** What came before the close is not even the beginning of an answer. */
function isNoHttp({ headText }: Exchange): boolean {
  return !'HTTP/'.startsWith(headText.slice(0, 'HTTP/'.length));
}

function closeMessage(exchange: Exchange, reason: Error | undefined): string {
  const how = reason === undefined ? 'closed' : `broken (${errorCode(reason)})`;
  if (exchange.head !== undefined) {
    const of = exchange.framing.kind === 'length' ? ` of ${exchange.framing.bytes}` : '';
    return `the connection was ${how} after ${exchange.received}${of} bytes of the answer`;
  }
  return exchange.flushed
    ? `the connection was ${how} before an answer`
    : `the connection was ${how} while the request was sent`;
}

function connectFailure(reason: Error | undefined): string {
  if (reason === undefined) return 'the connection was closed before it was ready';
  return `no connection: ${errorCode(reason)}`;
}

/** `ECONNREFUSED` and the like; of an attempt on several addresses the first. */
function errorCode(error: Error): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (first instanceof Error && 'code' in first && typeof first.code === 'string')
    return first.code;
  return error.message;
}
