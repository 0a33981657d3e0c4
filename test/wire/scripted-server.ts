/**
 * A server on a real socket that does to each connection exactly what the test's script says, and
 * tells how each connection ended.
 *
 * When the test is over the client is closed and the server waits until every connection has gone:
 * a socket that the client leaks makes the test fail by its time limit.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { type ClientOptions, type SignedRequest, WireClient } from '../../src/wire/client.ts';
import { Connection, type Endpoint, type ExchangeRequest } from '../../src/wire/connection.ts';

export interface ReceivedRequest {
  /** Request line and headers with the empty line, as a byte string. */
  readonly head: string;
  readonly method: string;
  /** The target as it was sent. */
  readonly target: string;
  readonly body: Buffer;
}

/** How the client ended a connection: by a FIN or by a RST. */
export type Ending = 'closed' | 'reset';

/** One connection as the server sees it. */
export class Peer {
  /** What the script writes to and reads from; the TLS socket when there is one. */
  readonly socket: Socket;
  /** 0 for the first connection of the server. */
  readonly number: number;
  /** Of the client's direction. */
  readonly ended: Promise<Ending>;
  readonly #tcp: Socket;
  #unread = Buffer.alloc(0);
  #over = false;
  #wake: () => void = () => {};

  constructor(tcp: Socket, number: number, secureContext: SecureContext | undefined) {
    this.#tcp = tcp;
    this.number = number;
    this.socket =
      secureContext === undefined
        ? tcp
        : new TLSSocket(tcp, { isServer: true, secureContext, ALPNProtocols: ['h2', 'http/1.1'] });
    const { socket } = this;
    this.ended = new Promise((resolve) => {
      // libuv reports a reset as an ordinary end when data came with it; then the peer has no address any more.
      socket.once('end', () => resolve(socket.remoteAddress === undefined ? 'reset' : 'closed'));
      socket.once('error', () => resolve('reset'));
      socket.once('close', () => resolve('closed'));
    });
    this.socket.on('data', (bytes: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, bytes]);
      this.#wake();
    });
    this.socket.on('error', () => {});
    this.socket.once('close', () => {
      this.#over = true;
      this.#wake();
    });
  }

  /** The next request, whole; undefined when the client ends the connection before. */
  async request(): Promise<ReceivedRequest | undefined> {
    const head = await this.requestHead();
    return head === undefined ? undefined : this.requestBody(head);
  }

  /** The rest of the request whose head has been taken. */
  async requestBody(head: string): Promise<ReceivedRequest | undefined> {
    const length = Number(/^content-length: ([0-9]+)\r$/im.exec(head)?.[1] ?? 0);
    const body = await this.#take(() => (this.#unread.length >= length ? length : undefined));
    if (body === undefined) return undefined;
    const [method = '', target = ''] = head.split(' ', 2);
    return { head, method, target, body };
  }

  /** The next request's head; its body stays unread. */
  async requestHead(): Promise<string | undefined> {
    const head = await this.#take(() => {
      const end = this.#unread.indexOf('\r\n\r\n');
      return end < 0 ? undefined : end + 4;
    });
    return head?.toString('latin1');
  }

  /** Writes each piece (byte strings) as a segment of its own that the client reads before the next. */
  async send(...pieces: readonly (string | Buffer)[]): Promise<void> {
    for (const piece of pieces) {
      const bytes = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
      if (bytes.length === 0) continue;
      await new Promise<void>((resolve) => {
        this.socket.write(bytes, () => resolve());
      });
      await eventLoopTurns();
    }
  }

  /** Sends a FIN after what was written. */
  end(): void {
    this.socket.end();
  }

  reset(): void {
    this.#tcp.resetAndDestroy();
  }

  /** Reads all that comes, and forgets it. */
  discard(): void {
    this.#unread = Buffer.alloc(0);
    this.socket.removeAllListeners('data').resume();
  }

  /** Reads no more, so that the client's writes get stuck once the kernel's buffers are full. */
  stopReading(): void {
    this.socket.pause();
  }

  async #take(whole: () => number | undefined): Promise<Buffer | undefined> {
    for (;;) {
      const bytes = whole();
      if (bytes !== undefined) {
        const taken = this.#unread.subarray(0, bytes);
        this.#unread = this.#unread.subarray(bytes);
        return taken;
      }
      if (this.#over) {
        this.discard();
        return undefined;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** Enough turns of the event loop for the other end, in the same process, to have read what was sent. */
export async function eventLoopTurns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

/** A promise that is fulfilled from outside. */
export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

export interface SecureServer {
  readonly key: string;
  readonly cert: string;
}

export interface ScriptedServer {
  readonly port: number;
  readonly endpoint: Endpoint;
  /** All connections there were. */
  readonly peers: readonly Peer[];
  /** Stops listening, and waits until the last connection has gone. */
  allGone(): Promise<void>;
}

export type Script = (peer: Peer) => Promise<void> | void;

export async function startScriptedServer(
  script: Script,
  secure?: SecureServer,
): Promise<ScriptedServer> {
  const peers: Peer[] = [];
  const failures: unknown[] = [];
  // One for all connections: it holds the key of the session tickets.
  const secureContext = secure === undefined ? undefined : createSecureContext(secure);
  const server = createServer({ noDelay: true }, (tcp) => {
    const peer = new Peer(tcp, peers.length, secureContext);
    peers.push(peer);
    Promise.resolve(script(peer)).catch((error: unknown) => failures.push(error));
  });
  const port = await listen(server);
  const closed = once(server, 'close');
  const allGone = async (): Promise<void> => {
    if (server.listening) server.close();
    await closed;
    if (failures.length > 0) throw failures[0];
  };
  onTestFinished(allGone);
  const tls = secure === undefined ? undefined : { ca: secure.cert, verify: true };
  return { port, endpoint: { host: '127.0.0.1', port, tls }, peers, allGone };
}

/** @returns the port */
export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const CREDENTIALS = { accessKey: 'AKIDTEST', secret: 'wonderful/secret+key' };

/** A client that is closed when the test is over. */
export function clientOf(endpoint: Endpoint, options: Partial<ClientOptions> = {}): WireClient {
  const client = new WireClient({
    endpoint,
    credentials: CREDENTIALS,
    region: 'us-east-1',
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

/** A connection that is ended when the test is over. */
export function connectionTo(endpoint: Endpoint, now = 0): Connection {
  const connection = new Connection(endpoint, now);
  onTestFinished(() => connection.abort('the test is over'));
  return connection;
}

/** A GET whose body is collected. */
export function get(path = '/photos/a.jpg', request: Partial<SignedRequest> = {}): SignedRequest {
  return {
    method: 'GET',
    path,
    repeatable: true,
    receive: () => ({ kind: 'collect', limit: 1024 * 1024 }),
    ...request,
  };
}

/** A PUT that must not be done twice. */
export function put(body: Buffer, request: Partial<SignedRequest> = {}): SignedRequest {
  return { ...get(), method: 'PUT', body, repeatable: false, ...request };
}

/** An unsigned request for a connection alone. */
export function bareGet(
  limits: ExchangeRequest['limits'],
  request: Partial<ExchangeRequest> = {},
): ExchangeRequest {
  return {
    method: 'GET',
    head: 'GET /photos/a.jpg HTTP/1.1\r\nhost: store.test\r\n\r\n',
    body: undefined,
    limits,
    receive: () => ({ kind: 'collect', limit: 1024 * 1024 }),
    ...request,
  };
}

/** An answer as a byte string: status, headers, empty line, body. */
export function answer(status: number, headers: readonly string[], body = ''): string {
  return [`HTTP/1.1 ${status} Said So`, ...headers, '', body].join('\r\n');
}

/** An answer with a Content-Length. */
export function ok(body: string, ...headers: readonly string[]): string {
  return answer(200, [...headers, `Content-Length: ${body.length}`], body);
}

/** Answers request after request on one connection, each with what `reply` makes of it. */
export function answering(reply: (request: ReceivedRequest, peer: Peer) => string): Script {
  return async (peer) => {
    for (;;) {
      const request = await peer.request();
      if (request === undefined) return;
      await peer.send(reply(request, peer));
    }
  };
}
