/**
 * A server that answers each case with exactly the bytes of the case, and every other request with its
 * own path; and what may be made of such an answer, by Node's parser and by the plainest reading.
 */
import { readFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import {
  deferred,
  eventLoopTurns,
  ok,
  type Peer,
  type ReceivedRequest,
  type ScriptedServer,
  type SecureServer,
  startScriptedServer,
} from './scripted-server.ts';

/** For `localhost` and 127.0.0.1. */
export const LOCAL: SecureServer = {
  key: pem('../s3-server/localhost.key.pem'),
  cert: pem('../s3-server/localhost.cert.pem'),
};

function pem(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

/** An answer inside the body: what must never be taken for the answer to another request. */
export const BODY = `photo ${ok('stolen')} photo`;

const WITH_LENGTH = ok(BODY, 'Server: S', 'ETag: "b1946ac92492d2347c6235b4d2611184"');
const IN_CHUNKS = [
  'HTTP/1.1 200 OK',
  'Server: S',
  'Transfer-Encoding: chunked',
  '',
  '5;x=y',
  BODY.slice(0, 5),
  (BODY.length - 5).toString(16),
  BODY.slice(5),
  '0',
  'X-T: t',
  '',
  '',
].join('\r\n');
const INTERIM = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n';

/** Whole answers whose body is {@link BODY}. */
export const ANSWERS: readonly (readonly [name: string, stream: string])[] = [
  ['a Content-Length', WITH_LENGTH],
  ['chunks', IN_CHUNKS],
  ['interim answers before it', INTERIM + ok(BODY, 'Connection: close')],
];

export interface Case {
  readonly stream: string;
  /** Where the stream is split into segments. */
  readonly splits: readonly number[];
  /** What the server does after it; `stay` goes on to serve the connection. */
  readonly ending: 'end' | 'reset' | 'stay';
  /** `at-once`: the server answers when it has the request's head, and reads no more until then. */
  readonly answers?: 'after-body' | 'at-once';
}

interface AddedCase {
  readonly fuzzed: Case;
  readonly sent: (peer: Peer) => void;
  readonly arrived: (request: ReceivedRequest | undefined, peer: Peer) => void;
  /** A client that lost its connection may ask once more. */
  asked: boolean;
}

/** What the server saw of the request to a case. */
export interface Arrival {
  /** Undefined when it did not come whole. */
  readonly body: Buffer | undefined;
  readonly peer: Peer;
}

export class FuzzedServer {
  readonly server: ScriptedServer;
  readonly secure: SecureServer | undefined;
  readonly #cases: Map<string, AddedCase>;
  #count = 0;

  private constructor(
    server: ScriptedServer,
    cases: Map<string, AddedCase>,
    secure: SecureServer | undefined,
  ) {
    this.server = server;
    this.#cases = cases;
    this.secure = secure;
  }

  static async start(secure?: SecureServer): Promise<FuzzedServer> {
    const cases = new Map<string, AddedCase>();
    const server = await startScriptedServer((peer) => serve(peer, cases), secure);
    return new FuzzedServer(server, cases, secure);
  }

  /**
   * @returns the path to ask for; a promise of the moment when all has been sent, with the connection;
   *   and a promise of the request, for a case that is answered after its body
   */
  add(fuzzed: Case): { path: string; sent: Promise<Peer>; arrived: Promise<Arrival> } {
    const path = `/case/${this.#count++}`;
    const sent = deferred<Peer>();
    const arrived = deferred<Arrival>();
    this.#cases.set(path, {
      fuzzed,
      asked: false,
      sent: sent.resolve,
      arrived: (request, peer) => arrived.resolve({ body: request?.body, peer }),
    });
    return { path, sent: sent.promise, arrived: arrived.promise };
  }

  /** Drops the cases, whose exchanges are over: a long search must not fill the memory. */
  forget(): void {
    this.#cases.clear();
  }
}

/** Answers the requests of one connection until a case ends it. */
async function serve(peer: Peer, cases: ReadonlyMap<string, AddedCase>): Promise<void> {
  for (;;) {
    const head = await peer.requestHead();
    if (head === undefined) return;
    const target = head.split(' ', 2)[1] as string;
    const found = cases.get(target);
    if (found?.fuzzed.answers === 'at-once') {
      peer.stopReading();
    } else {
      const request = await peer.requestBody(head);
      found?.arrived(request, peer);
      if (request === undefined) return;
    }
    if (found === undefined) {
      await peer.send(ok(`own ${target}`));
      continue;
    }
    const { fuzzed } = found;
    await peer.send(...split(fuzzed));
    // Whoever made the test end the first connection is not told of a second.
    const ending = found.asked && fuzzed.ending === 'stay' ? 'end' : fuzzed.ending;
    found.asked = true;
    if (ending !== 'stay') peer[ending]();
    await eventLoopTurns();
    found.sent(peer);
    // A request that crosses the ending is not heard, and the rest of one answered at once is none.
    if (ending !== 'stay' || fuzzed.answers === 'at-once') return peer.discard();
  }
}

function split({ stream, splits }: Case): string[] {
  const borders = [0, ...splits.map((at) => at % (stream.length + 1)), stream.length].toSorted(
    (a, b) => a - b,
  );
  return borders.slice(1).map((end, i) => stream.slice(borders[i], end));
}

export type Outcome = { status: number; body: string } | 'failed';

/** What Node's parser makes of the same stream. */
export function exchangeOfNode({ server, secure }: FuzzedServer, path: string): Promise<Outcome> {
  const options = { host: '127.0.0.1', port: server.port, path, agent: false };
  return new Promise((resolve) => {
    const request =
      secure === undefined
        ? requestHttp(options)
        : requestHttps({ ...options, agent: false, ca: secure.cert });
    request.on('response', (message) => {
      buffer(message).then(
        (body) => resolve({ status: message.statusCode ?? 0, body: body.toString('latin1') }),
        () => resolve('failed'),
      );
    });
    request.on('error', () => resolve('failed'));
    request.end();
  });
}

/** The body that a stream declares, read as simply as can be; undefined when it is not all there. */
export function declaredBody(stream: string): string | undefined {
  const final = stream.replace(/^(?:HTTP\/1\.[01] 1[^]*?\r\n\r\n)+/, '');
  const end = final.indexOf('\r\n\r\n');
  const head = final.slice(0, end);
  let rest = final.slice(end + 4);
  const length = /\ncontent-length:[ \t]*([0-9]+)/i.exec(head)?.[1];
  if (length !== undefined)
    return rest.length < Number(length) ? undefined : rest.slice(0, Number(length));
  if (!/\ntransfer-encoding:/i.test(head)) return rest;
  let content = '';
  for (;;) {
    const size = /^([0-9a-f]+)[^\n]*\n/i.exec(rest);
    if (size === null) return undefined;
    const bytes = Number.parseInt(size[1] as string, 16);
    if (bytes === 0) return content;
    content += rest.slice(size[0].length, size[0].length + bytes);
    rest = rest.slice(size[0].length + bytes + 2);
  }
}

const FRAGMENT = fc.constantFrom(
  '',
  '\r\n',
  '\r\n\r\n',
  '\r\nContent-Length: 0',
  '\r\nTransfer-Encoding: chunked',
  '\r\nConnection: close',
  'HTTP/1.1 100 Continue\r\n\r\n',
  '0\r\n\r\n',
  ok('stolen'),
);

/** A stream with up to three pieces of it replaced, most often in its first bytes. */
export function edited(stream: string): fc.Arbitrary<string> {
  const place = fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: Math.min(stream.length, 300) }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: stream.length }) },
  );
  const removed = fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constant(stream.length));
  const edit = fc.record({ at: place, removed, fragment: FRAGMENT });
  return fc
    .array(edit, { minLength: 1, maxLength: 3 })
    .map((edits) =>
      edits.reduce(
        (text, { at, removed, fragment }) =>
          text.slice(0, at) + fragment + text.slice(at + removed),
        stream,
      ),
    );
}

/** Places for {@link Case.splits}. */
export const SPLITS = fc.array(fc.nat({ max: 100_000 }), { maxLength: 4 });
