/**
 * The way to one server of bench/soak.mjs, on which storms are made: 503 SlowDown without asking the
 * server, connections that are reset, bytes that stand still. When the server is down, connections break.
 *
 * Requests and answers pass as they came. What was written to each key is remembered, with a hash of what
 * has passed: that tells a fault of the server from one of the client.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import { pipeline } from 'node:stream/promises';

const SLOW_DOWN =
  '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';

export class SoakProxy {
  #writes = new Map();
  /** Requests this proxy has refused itself, and connections it has reset. */
  counts = { refused: 0, reset: 0 };
  #server;
  #target;
  #agent = new Agent({ keepAlive: true });
  #sockets = new Set();
  #refusing = false;
  #stalled;

  constructor(targetPort) {
    this.#target = { host: '127.0.0.1', port: targetPort };
    this.#server = createServer((incoming, answer) => {
      // Later it may be without one.
      const { socket } = incoming;
      this.#pass(incoming, answer).catch(() => breakOff(socket));
    });
    // A stall must be noticed by the client, not here.
    this.#server.requestTimeout = 0;
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    });
  }

  static async start(targetPort) {
    const proxy = new SoakProxy(targetPort);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  close() {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
  }

  /**
   * What was to change this object or its uploads since {@link forget}, in the order it began: `query`,
   * `method`, `declared` (bytes), `md5Header`, `began`, `ended` (ms since the epoch, undefined while under
   * way), `bytes` and `md5` (hex) of what has passed, `status` (undefined: not answered).
   */
  writesOf(bucket, key) {
    return this.#writes.get(Buffer.from(`/${bucket}/${key}`).toString('latin1')) ?? [];
  }

  forget() {
    this.#writes.clear();
  }

  /** From now on every request is answered 503 SlowDown, or passed again. */
  refuse(refusing) {
    this.#refusing = refusing;
  }

  /** From now on nothing moves either way, or all goes on. */
  stall(stalling) {
    this.#stalled?.resolve();
    this.#stalled = stalling ? resolvers() : undefined;
  }

  /** Resets those of the connections that `chosen` says. */
  reset(chosen) {
    for (const socket of this.#sockets) {
      if (!chosen()) continue;
      this.counts.reset++;
      breakOff(socket);
    }
  }

  async #pass(incoming, answer) {
    if (this.#refusing) {
      this.counts.refused++;
      incoming.resume();
      answer.writeHead(503, {
        'content-type': 'application/xml',
        'content-length': SLOW_DOWN.length,
      });
      answer.end(SLOW_DOWN);
      return;
    }
    const write = this.#remember(incoming);
    try {
      const { method, url, rawHeaders } = incoming;
      const outgoing = request({
        ...this.#target,
        agent: this.#agent,
        method,
        path: url,
        headers: rawHeaders,
      });
      const answered = new Promise((resolve, reject) => {
        outgoing.on('response', resolve).on('error', reject);
        answer.on('close', () => outgoing.destroy());
      });
      const sent = pipeline(incoming, this.#gate(write), outgoing);
      // A server may answer before it has read all.
      sent.catch(() => {});
      const response = await answered;
      if (write !== undefined)
        Object.assign(write, { status: response.statusCode, ended: Date.now() });
      answer.sendDate = false;
      answer.writeHead(response.statusCode, response.statusMessage, response.rawHeaders);
      await pipeline(response, this.#gate(), answer);
    } finally {
      if (write !== undefined) {
        write.ended ??= Date.now();
        write.md5 = write.hash.digest('hex');
        delete write.hash;
      }
    }
  }

  #remember({ method, url, headers }) {
    if (method !== 'PUT' && method !== 'POST' && method !== 'DELETE') return undefined;
    const [path, query = ''] = url.split('?');
    const write = {
      method,
      query: new URLSearchParams(query),
      declared: Number(headers['content-length'] ?? 0),
      md5Header: headers['content-md5'],
      began: Date.now(),
      bytes: 0,
      hash: createHash('md5'),
    };
    const key = byteString(path);
    const before = this.#writes.get(key);
    if (before === undefined) this.#writes.set(key, [write]);
    else before.push(write);
    return write;
  }

  /** For a pipeline: lets bytes through while nothing stands still, and adds them to the write. */
  #gate(write) {
    const proxy = this;
    return async function* gate(chunks) {
      for await (const chunk of chunks) {
        if (write?.hash !== undefined) {
          write.bytes += chunk.length;
          write.hash.update(chunk);
        }
        await proxy.#stalled?.promise;
        yield chunk;
      }
      await proxy.#stalled?.promise;
    };
  }
}

/** Not every key is UTF-8. */
function byteString(path) {
  return path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function resolvers() {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

function breakOff(socket) {
  if (!socket.destroyed) socket.resetAndDestroy();
}
