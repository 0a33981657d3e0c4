import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { SignedRequest } from '../../src/wire/client.ts';
import {
  answer,
  answering,
  clientOf,
  deferred,
  eventLoopTurns,
  get,
  listen,
  ok,
  type Peer,
  put,
  type Script,
  startScriptedServer,
} from './scripted-server.ts';

/** Larger than what the kernel takes for a peer that does not read. */
const STUCK_BYTES = 32 * 1024 * 1024;

/** Answers the first connection's first request with `first`, and everything else properly. */
function onceThenOwn(first: (peer: Peer) => Promise<void>): Script {
  const own = answering((request) => ok(`own ${request.target}`));
  return async (peer) => {
    if (peer.number === 0) {
      await peer.request();
      await first(peer);
    }
    await own(peer);
  };
}

describe('an answer that breaks off', () => {
  it.each([
    ['before its first byte', ''],
    ['in its status line', 'HTTP/1.1 20'],
    ['in its headers', 'HTTP/1.1 200 OK\r\nContent-Le'],
    ['before its body', answer(200, ['Content-Length: 5'])],
    ['in its body', answer(200, ['Content-Length: 5'], 'hell')],
    ['in a chunk', answer(200, ['Transfer-Encoding: chunked'], '5\r\nhel')],
    ['before its last chunk', answer(200, ['Transfer-Encoding: chunked'], '5\r\nhello\r\n')],
    ['in its trailers', answer(200, ['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n')],
    ['after an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ])('%s is an error, closed or reset', async (_, text) => {
    for (const ending of ['end', 'reset'] as const) {
      const server = await startScriptedServer(
        onceThenOwn(async (peer) => {
          await peer.send(text);
          peer[ending]();
        }),
      );
      const client = clientOf(server.endpoint);
      await expect(client.exchange(get())).rejects.toMatchObject({
        code: 'closed',
        sent: true,
        // A fresh connection was not idle, so its end is told to the caller.
        stale: false,
      });
      expect((await client.exchange(get('/photos/b'))).body.toString()).toBe('own /photos/b');
    }
  });

  it('says how much of it came', async () => {
    const server = await startScriptedServer(
      onceThenOwn(async (peer) => {
        await peer.send(answer(200, ['Content-Length: 1000'], 'x'.repeat(400)));
        peer.end();
      }),
    );
    await expect(clientOf(server.endpoint).exchange(get())).rejects.toThrow(
      'the connection was closed after 400 of 1000 bytes of the answer',
    );
  });
});

describe('an answer that cannot be read', () => {
  it.each([
    ['garbage', 'garbage\r\n\r\n'],
    ['a line end before it', `\r\n${ok('hello')}`],
    ['TLS', '\x15\x03\x01\x00\x02\x02\x28\r\n\r\n'],
    ['an endless head', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`],
    [
      'too many headers',
      answer(
        200,
        Array.from({ length: 300 }, () => 'X: x'),
      ),
    ],
    ['two lengths', answer(200, ['Content-Length: 5', 'Content-Length: 4'], 'hello')],
    [
      'a length and chunks',
      answer(200, ['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
    ],
    ['a malformed chunk', answer(200, ['Transfer-Encoding: chunked'], 'x\r\n')],
    ['another protocol', answer(101, ['Upgrade: websocket'])],
  ])('(%s) is an error, and its connection is reset', async (_, text) => {
    const server = await startScriptedServer(onceThenOwn((peer) => peer.send(text)));
    const client = clientOf(server.endpoint);
    await expect(client.exchange(get())).rejects.toMatchObject({ code: 'malformed', sent: true });
    expect(await server.peers[0]?.ended).toBe('reset');
    expect((await client.exchange(get('/photos/b'))).body.toString()).toBe('own /photos/b');
  });

  it('is also one that is no HTTP and ends with its connection', async () => {
    const server = await startScriptedServer(
      onceThenOwn(async (peer) => {
        await peer.send('220 mail.example ESMTP\r\n');
        peer.socket.end();
      }),
    );
    await expect(clientOf(server.endpoint).exchange(get())).rejects.toMatchObject({
      code: 'malformed',
    });
  });

  it('is also one that interim answers hold back without end', async () => {
    const server = await startScriptedServer(
      onceThenOwn(async (peer) => {
        while (!peer.socket.destroyed) await peer.send('HTTP/1.1 102 Processing\r\n\r\n');
      }),
    );
    await expect(clientOf(server.endpoint).exchange(get())).rejects.toMatchObject({
      code: 'malformed',
    });
  });
});

describe('bytes that belong to no answer', () => {
  const splitting = ok('stolen');
  const large = 'x'.repeat(500_000);

  it.each([
    ['garbage', 'garbage'],
    ['one byte', '\n'],
    ['another answer', splitting],
    ['half of another answer', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nst'],
  ])('never reach the next exchange when they come with an answer: %s', async (_, surplus) => {
    const answers: [string, Partial<SignedRequest>][] = [
      [ok('hello') + surplus, {}],
      [ok('') + surplus, {}],
      [answer(304, []) + surplus, {}],
      [answer(200, ['Content-Length: 6']) + surplus, { method: 'HEAD' }],
      [answer(200, ['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n') + surplus, {}],
      [
        ok('hello') + surplus,
        { receive: () => ({ kind: 'into', buffer: Buffer.alloc('hello'.length) }) },
      ],
      [
        ok('hello') + surplus,
        { receive: () => Promise.resolve({ kind: 'into', buffer: Buffer.alloc(5) } as const) },
      ],
    ];
    for (const [text, request] of answers) {
      const server = await startScriptedServer(onceThenOwn((peer) => peer.send(text)));
      const client = clientOf(server.endpoint);
      await client.exchange(get('/photos/a', request));
      expect((await client.exchange(get('/photos/b'))).body.toString()).toBe('own /photos/b');
      expect(await server.peers[0]?.ended).toBe('reset');
    }
  });

  it('never reach the next exchange when they come with the last bytes of a large body', async () => {
    for (const tail of [1, 100, 60_000]) {
      const server = await startScriptedServer(
        onceThenOwn(async (peer) => {
          const text = ok(large);
          await peer.send(text.slice(0, -tail), text.slice(-tail) + splitting);
        }),
      );
      const client = clientOf(server.endpoint);
      const buffer = Buffer.alloc(large.length);
      const { body } = await client.exchange(
        get('/photos/a', { receive: () => ({ kind: 'into', buffer }) }),
      );
      expect(body.toString()).toBe(large);
      expect((await client.exchange(get('/photos/b'))).body.toString()).toBe('own /photos/b');
    }
  });

  it('end an idle connection when they come unasked', async () => {
    const server = await startScriptedServer(
      onceThenOwn(async (peer) => {
        await peer.send(ok('hello'), splitting);
      }),
    );
    const client = clientOf(server.endpoint);
    await client.exchange(get());
    expect(await server.peers[0]?.ended).toBe('reset');
    expect((await client.exchange(get('/photos/b'))).body.toString()).toBe('own /photos/b');
    expect(server.peers).toHaveLength(2);
  });
});

describe('a connection that was closed while idle', () => {
  it('costs a GET nothing, even when the pool is full of them', async () => {
    const closing = deferred<void>();
    const server = await startScriptedServer(async (peer) => {
      await peer.request();
      await peer.send(ok('first'));
      if (peer.number >= 3) {
        await peer.request();
        await peer.send(ok('again'));
        return;
      }
      await closing.promise;
      peer.end();
    });
    const client = clientOf(server.endpoint);
    await Promise.all([get(), get(), get()].map((request) => client.exchange(request)));
    closing.resolve();
    await Promise.all(server.peers.map(({ ended }) => ended));
    expect((await client.exchange(get())).body.toString()).toBe('first');
  });

  /** Closes the second time a connection is used, as a server does that had just given it up. */
  const closingOnReuse = (ending: 'end' | 'reset'): Script => {
    return async (peer) => {
      await peer.request();
      await peer.send(ok(`${peer.number}`));
      await peer.requestHead();
      peer[ending]();
    };
  };

  it.each(['end', 'reset'] as const)(
    'repeats a GET on a fresh one when the two cross (%s)',
    async (ending) => {
      const server = await startScriptedServer(closingOnReuse(ending));
      const client = clientOf(server.endpoint);
      const asked: number[] = [];
      const request = get('/photos/a', {
        receive: (head) => {
          asked.push(head.status);
          return { kind: 'collect', limit: 10 };
        },
      });
      expect((await client.exchange(request)).body.toString()).toBe('0');
      expect((await client.exchange(request)).body.toString()).toBe('1');
      expect(asked).toEqual([200, 200]);
    },
  );

  it('fails a request that must not be repeated, and says that it was stale', async () => {
    const server = await startScriptedServer(closingOnReuse('reset'));
    const client = clientOf(server.endpoint);
    await client.exchange(get());
    await expect(client.exchange(put(Buffer.from('body')))).rejects.toMatchObject({
      code: 'closed',
      sent: true,
      stale: true,
    });
    expect(server.peers).toHaveLength(1);
  });

  it('is not what an end after the first byte of an answer is', async () => {
    const pieces = [
      'H',
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.1 100 Continue\r\n\r\n',
      ok('hello').slice(0, -1),
    ];
    for (const piece of pieces) {
      const server = await startScriptedServer(async (peer) => {
        await peer.request();
        await peer.send(ok('first'));
        await peer.request();
        await peer.send(piece);
        peer.end();
      });
      const client = clientOf(server.endpoint);
      await client.exchange(get());
      await expect(client.exchange(get())).rejects.toMatchObject({ code: 'closed', stale: false });
      expect(server.peers).toHaveLength(1);
    }
  });

  it('is told from a fresh one: the repetition is made once', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.request();
      if (peer.number === 0) await peer.send(ok('first'));
      await peer.request();
      peer.end();
    });
    const client = clientOf(server.endpoint);
    await client.exchange(get());
    const second = client.exchange(get());
    // The fresh connection waits for a request that never comes; the client gives it up.
    await server.peers[0]?.ended;
    while (server.peers.length < 2) await eventLoopTurns();
    server.peers[1]?.end();
    await expect(second).rejects.toMatchObject({ code: 'closed', stale: false });
    expect(server.peers).toHaveLength(2);
  });
});

describe('an early answer to a large body', () => {
  const body = Buffer.alloc(STUCK_BYTES);

  it.each([412, 503])('(%i) is taken while the server reads no more', async (status) => {
    const server = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      peer.stopReading();
      await peer.send(answer(status, ['Content-Length: 2'], 'no'));
    });
    const answered = await clientOf(server.endpoint).exchange(put(body));
    expect(answered.head.status).toBe(status);
    expect(answered.body.toString()).toBe('no');
    server.peers[0]?.socket.resume();
    expect(await server.peers[0]?.ended).toBe('reset');
  });

  it('is taken when the server resets after it, once the client has stopped', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      peer.stopReading();
      // The client is stuck in the middle by now: the kernel takes no more of so much.
      await eventLoopTurns();
      peer.socket.write(answer(412, ['Content-Length: 2'], 'no'), 'latin1', () => peer.reset());
    });
    const answered = await clientOf(server.endpoint).exchange(put(body));
    expect(answered.head.status).toBe(412);
  });

  it('ends the request while the server reads on: the rest is not sent', async () => {
    let received = 0;
    const server = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      await peer.send(answer(503, ['Content-Length: 0']));
      peer.socket.on('data', (bytes: Buffer) => {
        received += bytes.length;
      });
    });
    const client = clientOf(server.endpoint);
    expect((await client.exchange(put(body))).head.status).toBe(503);
    expect(await server.peers[0]?.ended).toBe('reset');
    expect(received).toBeLessThan(STUCK_BYTES);
  });

  it('is not believed when it says success', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      peer.stopReading();
      await peer.send(ok('', 'ETag: "a"'));
    });
    const client = clientOf(server.endpoint);
    await expect(client.exchange(put(body))).rejects.toMatchObject({ code: 'malformed' });
    server.peers[0]?.socket.resume();
    expect(await server.peers[0]?.ended).toBe('reset');
  });
});

describe('a request that is broken off', () => {
  it('reaches the server as a reset, never as a close', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      peer.stopReading();
      client.close();
      await eventLoopTurns();
      peer.socket.resume();
    });
    const client = clientOf(server.endpoint);
    await expect(client.exchange(put(Buffer.alloc(STUCK_BYTES)))).rejects.toMatchObject({
      code: 'aborted',
      sent: true,
    });
    expect(await server.peers[0]?.ended).toBe('reset');
  });

  it.each([
    ['before the answer', ''],
    ['in its head', 'HTTP/1.1 200 OK\r\n'],
    ['in its body', answer(200, ['Content-Length: 5'], 'he')],
    ['in a large body', answer(200, ['Content-Length: 500000'], 'x'.repeat(200_000))],
    ['in a chunk', answer(200, ['Transfer-Encoding: chunked'], '5\r\nhe')],
  ])('by the client %s is `aborted`', async (_, text) => {
    const server = await startScriptedServer(async (peer) => {
      await peer.request();
      await peer.send(text);
      client.close();
    });
    const client = clientOf(server.endpoint);
    const receive: SignedRequest['receive'] = (head) => {
      const length = Number(head.headers.get('content-length') ?? 0);
      return length > 0
        ? { kind: 'into', buffer: Buffer.alloc(length) }
        : { kind: 'collect', limit: 10 };
    };
    await expect(client.exchange(get('/photos/a', { receive }))).rejects.toMatchObject({
      code: 'aborted',
      stale: false,
    });
    expect(await server.peers[0]?.ended).toBe('reset');
  });

  it('while it is decided where the body goes ignores the decision', async () => {
    const decision = deferred<{ kind: 'collect'; limit: number }>();
    const server = await startScriptedServer(async (peer) => {
      await peer.request();
      await peer.send(ok('hello'));
      client.close();
    });
    const client = clientOf(server.endpoint);
    const exchange = client.exchange(get('/photos/a', { receive: () => decision.promise }));
    await expect(exchange).rejects.toMatchObject({ code: 'aborted' });
    decision.resolve({ kind: 'collect', limit: 10 });
    await decision.promise;
  });

  it('by closing the client within `receive` is `aborted` too', async () => {
    const server = await startScriptedServer(answering(() => ok('hello')));
    const client = clientOf(server.endpoint);
    const exchange = client.exchange(
      get('/photos/a', {
        receive: () => {
          client.close();
          return { kind: 'stop' };
        },
      }),
    );
    await expect(exchange).rejects.toMatchObject({ code: 'aborted' });
  });

  it('before its connection is ready sends nothing', async () => {
    const server = await startScriptedServer(answering(() => ok('')));
    const client = clientOf(server.endpoint);
    const exchange = client.exchange(get());
    client.close();
    await expect(exchange).rejects.toMatchObject({ code: 'aborted', sent: false });
  });
});

describe('a closed client', () => {
  it('takes no more requests, and opens no connection', async () => {
    const server = await startScriptedServer(answering(() => ok('')));
    const client = clientOf(server.endpoint);
    await client.exchange(get());
    client.close();
    await expect(client.exchange(get())).rejects.toMatchObject({ code: 'aborted', sent: false });
    await server.allGone();
    expect(server.peers).toHaveLength(1);
  });
});

describe('a server that is not there', () => {
  it('is `connect-failed`, with the cause, and nothing was sent', async () => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const client = clientOf({ host: '127.0.0.1', port, tls: undefined });
    const exchange = client.exchange(get());
    await expect(exchange).rejects.toMatchObject({ code: 'connect-failed', sent: false });
    await expect(exchange).rejects.toThrow('no connection: ECONNREFUSED');
  });

  it('is `connect-failed` for a name that is not found', async () => {
    const client = clientOf({ host: 'no-such-host.invalid', port: 80, tls: undefined });
    await expect(client.exchange(get())).rejects.toMatchObject({
      code: 'connect-failed',
      sent: false,
    });
  });
});
