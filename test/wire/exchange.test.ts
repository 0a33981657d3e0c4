import { describe, expect, it } from 'vitest';
import { unitsOf } from './byte-strings.ts';
import {
  answer,
  answering,
  clientOf,
  deferred,
  get,
  ok,
  put,
  startScriptedServer,
} from './scripted-server.ts';

/** Sends the pieces in answer to the first request, and ordinary answers after it. */
function firstThen(...pieces: readonly string[]): Parameters<typeof startScriptedServer>[0] {
  let first = true;
  return async (peer) => {
    for (;;) {
      const request = await peer.request();
      if (request === undefined) return;
      if (first) {
        first = false;
        await peer.send(...pieces);
      } else {
        await peer.send(ok('next'));
      }
    }
  };
}

/** All ways to cut a text in two. */
function cutEverywhere(text: string): [string, string][] {
  return Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)]);
}

describe('an exchange', () => {
  it('carries request and answer, and the connection serves the next one', async () => {
    const server = await startScriptedServer(answering((request) => ok(`got ${request.target}`)));
    const client = clientOf(server.endpoint);
    for (const path of ['/photos/a', '/photos/b', '/photos/c']) {
      const { head, body, whole } = await client.exchange(get(path));
      expect(head.status).toBe(200);
      expect(body.toString()).toBe(`got ${path}`);
      expect(whole).toBe(true);
    }
    expect(server.peers).toHaveLength(1);
  });

  it('has a connection of its own while it lasts', async () => {
    const server = await startScriptedServer(answering((request) => ok(request.target)));
    const client = clientOf(server.endpoint);
    const paths = Array.from({ length: 20 }, (_, i) => `/photos/${i}`);
    const answers = await Promise.all(paths.map((path) => client.exchange(get(path))));
    expect(answers.map(({ body }) => body.toString())).toEqual(paths);
    expect(server.peers).toHaveLength(20);
    await Promise.all(paths.map((path) => client.exchange(get(path))));
    expect(server.peers).toHaveLength(20);
  });

  it('leaves no connection behind when the client is closed', async () => {
    const server = await startScriptedServer(answering(() => ok('')));
    const client = clientOf(server.endpoint);
    await Promise.all(Array.from({ length: 8 }, () => client.exchange(get())));
    client.close();
    await server.allGone();
    expect(await Promise.all(server.peers.map(({ ended }) => ended))).toHaveLength(8);
  });

  it('reads an answer that is cut anywhere', async () => {
    const text = ok('hello', 'ETag: "a"');
    const server = await startScriptedServer(async (peer) => {
      for (const pieces of cutEverywhere(text)) {
        await peer.request();
        await peer.send(...pieces);
      }
      await peer.request();
      await peer.send(...unitsOf(text));
    });
    const client = clientOf(server.endpoint);
    for (let i = 0; i <= text.length + 1; i++) {
      const { head, body } = await client.exchange(get());
      expect(head.headers.get('etag')).toBe('"a"');
      expect(body.toString()).toBe('hello');
    }
    expect(server.peers).toHaveLength(1);
  });

  it('reads a chunked answer with trailers that is cut anywhere', async () => {
    const text = answer(
      200,
      ['Transfer-Encoding: chunked'],
      '3;x\r\nhel\r\n2\r\nlo\r\n0\r\nA: b\r\n\r\n',
    );
    const server = await startScriptedServer(async (peer) => {
      for (const pieces of cutEverywhere(text)) {
        await peer.request();
        await peer.send(...pieces);
      }
    });
    const client = clientOf(server.endpoint);
    for (let i = 0; i <= text.length; i++) {
      expect((await client.exchange(get())).body.toString()).toBe('hello');
    }
    expect(server.peers).toHaveLength(1);
  });

  it('skips interim answers, wherever they are cut', async () => {
    const interim = 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n';
    const text = interim + ok('final');
    const server = await startScriptedServer(async (peer) => {
      for (const pieces of cutEverywhere(text)) {
        await peer.request();
        await peer.send(...pieces);
      }
    });
    const client = clientOf(server.endpoint);
    for (let i = 0; i <= text.length; i++) {
      const { head, body } = await client.exchange(get());
      expect(head.status).toBe(200);
      expect(head.headers.has('link')).toBe(false);
      expect(body.toString()).toBe('final');
    }
    expect(server.peers).toHaveLength(1);
  });

  it.each([
    ['HEAD', answer(200, ['Content-Length: 1000', 'ETag: "a"'])],
    ['HEAD', answer(404, ['Transfer-Encoding: chunked'])],
    ['GET', answer(304, ['Content-Length: 1000'])],
    ['DELETE', answer(204, [])],
    ['GET', answer(200, ['Content-Length: 0'])],
  ] as const)('ends a bodiless answer to %s at its head: %j', async (method, text) => {
    const server = await startScriptedServer(firstThen(text));
    const client = clientOf(server.endpoint);
    const { body, whole } = await client.exchange(get('/photos/a', { method }));
    expect(body).toHaveLength(0);
    expect(whole).toBe(true);
    expect((await client.exchange(get())).body.toString()).toBe('next');
    expect(server.peers).toHaveLength(1);
  });

  it('reads a body that has no length until the connection closes', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.request();
      await peer.send(answer(200, [], 'all of '), 'it');
      peer.end();
    });
    const client = clientOf(server.endpoint);
    for (let i = 0; i < 2; i++) {
      const { body, whole } = await client.exchange(get());
      expect(body.toString()).toBe('all of it');
      expect(whole).toBe(true);
    }
    expect(server.peers).toHaveLength(2);
  });

  it.each([
    ['Connection: close', ok('last', 'Connection: close')],
    ['Connection: close among other options', ok('last', 'Connection: x, close')],
    ['HTTP/1.0', ok('last').replace('HTTP/1.1', 'HTTP/1.0')],
  ])('does not use a connection again after %s', async (_, text) => {
    const server = await startScriptedServer(answering(() => text));
    const client = clientOf(server.endpoint);
    await client.exchange(get());
    await client.exchange(get());
    expect(server.peers).toHaveLength(2);
    expect(await server.peers[0]?.ended).toBe('reset');
  });

  it('gives answers with error statuses like any other', async () => {
    const server = await startScriptedServer(
      answering(() => answer(503, ['Content-Length: 4'], 'slow')),
    );
    const { head, body } = await clientOf(server.endpoint).exchange(get());
    expect(head.status).toBe(503);
    expect(body.toString()).toBe('slow');
  });

  it('collects up to its limit exactly, and ends the connection of a longer body', async () => {
    const server = await startScriptedServer(answering(() => ok('0123456789')));
    const client = clientOf(server.endpoint);
    const limited = (limit: number) =>
      client.exchange(get('/photos/a', { receive: () => ({ kind: 'collect', limit }) }));
    expect(await limited(10)).toMatchObject({ whole: true });
    expect(server.peers).toHaveLength(1);
    const cut = await limited(9);
    expect(cut.whole).toBe(false);
    expect(cut.body.toString()).toBe('012345678');
    expect(await server.peers[0]?.ended).toBe('reset');
    await limited(10);
    expect(server.peers).toHaveLength(2);
  });

  it('stops a chunked body at the limit too', async () => {
    const chunks = 'a\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n';
    const server = await startScriptedServer(
      answering(() => answer(200, ['Transfer-Encoding: chunked'], chunks)),
    );
    const client = clientOf(server.endpoint);
    const { body, whole } = await client.exchange(
      get('/photos/a', { receive: () => ({ kind: 'collect', limit: 12 }) }),
    );
    expect(body.toString()).toBe('012345678901');
    expect(whole).toBe(false);
  });

  it('ends with the head when the body is not wanted, and its connection too', async () => {
    const server = await startScriptedServer(answering(() => ok('unwanted')));
    const client = clientOf(server.endpoint);
    const stopped = get('/photos/a', { receive: () => ({ kind: 'stop' }) });
    const { head, body, whole } = await client.exchange(stopped);
    expect(head.status).toBe(200);
    expect(body).toHaveLength(0);
    expect(whole).toBe(false);
    expect(await server.peers[0]?.ended).toBe('reset');
  });

  it('keeps the connection when the body that is not wanted is empty', async () => {
    const server = await startScriptedServer(answering(() => ok('')));
    const client = clientOf(server.endpoint);
    const stopped = get('/photos/a', { receive: () => ({ kind: 'stop' }) });
    expect(await client.exchange(stopped)).toMatchObject({ whole: true });
    await client.exchange(stopped);
    expect(server.peers).toHaveLength(1);
  });
});

describe('a body read into a buffer', () => {
  /** Bytes that differ from place to place. */
  const content = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 8));

  it.each([0, 1, 100, 65_535, 65_536, 65_537, 131_072, 1_000_000, 3_000_000])(
    'holds exactly its %i bytes',
    async (bytes) => {
      const server = await startScriptedServer(async (peer) => {
        while ((await peer.request()) !== undefined) {
          peer.socket.write(answer(200, [`Content-Length: ${bytes}`]), 'latin1');
          await peer.send(content.subarray(0, bytes));
        }
      });
      const client = clientOf(server.endpoint);
      for (let i = 0; i < 3; i++) {
        const buffer = Buffer.alloc(bytes);
        const { body } = await client.exchange(
          get('/photos/a', { receive: () => ({ kind: 'into', buffer }) }),
        );
        expect(body).toBe(buffer);
        expect(buffer.equals(content.subarray(0, bytes))).toBe(true);
      }
      expect(server.peers).toHaveLength(1);
    },
  );

  it('is refused when the buffer is not as long as the body', async () => {
    const server = await startScriptedServer(answering(() => ok('12345')));
    const client = clientOf(server.endpoint);
    for (const length of [4, 6]) {
      const buffer = Buffer.alloc(length);
      const sync = client.exchange(get('/a', { receive: () => ({ kind: 'into', buffer }) }));
      await expect(sync).rejects.toMatchObject({ code: 'aborted' });
      const decided = Promise.resolve({ kind: 'into', buffer } as const);
      const later = client.exchange(get('/a', { receive: () => decided }));
      await expect(later).rejects.toMatchObject({ code: 'aborted' });
    }
    expect((await client.exchange(get())).body.toString()).toBe('12345');
  });
});

describe('deciding where the body goes', () => {
  it('may take its time: the bytes wait', async () => {
    const content = 'x'.repeat(300_000);
    const server = await startScriptedServer(async (peer) => {
      while ((await peer.request()) !== undefined) {
        const text = ok(content);
        await peer.send(text.slice(0, 60), text.slice(60, 1000), text.slice(1000));
      }
    });
    const client = clientOf(server.endpoint);
    const buffer = Buffer.alloc(content.length);
    const decision = deferred<{ kind: 'into'; buffer: Buffer }>();
    const asked = deferred<void>();
    const exchange = client.exchange(
      get('/photos/a', {
        receive: () => {
          asked.resolve();
          return decision.promise;
        },
      }),
    );
    await asked.promise;
    // Meanwhile other connections are served through the same read buffer.
    const other = await client.exchange(get());
    expect(other.body).toHaveLength(content.length);
    decision.resolve({ kind: 'into', buffer });
    const { body } = await exchange;
    expect(body.toString()).toBe(content);
    await client.exchange(get());
    expect(server.peers).toHaveLength(2);
  });

  it('loses nothing when the server closes meanwhile', async () => {
    const server = await startScriptedServer(async (peer) => {
      await peer.request();
      await peer.send(ok('whole'));
      peer.end();
    });
    const asked = deferred<void>();
    const decision = deferred<{ kind: 'collect'; limit: number }>();
    const exchange = clientOf(server.endpoint).exchange(
      get('/photos/a', {
        receive: () => {
          asked.resolve();
          return decision.promise;
        },
      }),
    );
    await asked.promise;
    decision.resolve({ kind: 'collect', limit: 10 });
    expect((await exchange).body.toString()).toBe('whole');
  });

  it('ends the exchange with the reason when it throws', async () => {
    const server = await startScriptedServer(answering(() => ok('12345')));
    const client = clientOf(server.endpoint);
    const reason = new Error('no ETag');
    const thrown = client.exchange(
      get('/photos/a', {
        receive: () => {
          throw reason;
        },
      }),
    );
    await expect(thrown).rejects.toMatchObject({ code: 'aborted', cause: reason, stale: false });
    const rejected = client.exchange(get('/photos/a', { receive: () => Promise.reject(reason) }));
    await expect(rejected).rejects.toMatchObject({ code: 'aborted', cause: reason });
    expect(await Promise.all(server.peers.map(({ ended }) => ended))).toEqual(['reset', 'reset']);
  });

  it('is asked for once, with the final head', async () => {
    const text = `HTTP/1.1 100 Continue\r\n\r\n${answer(404, ['Content-Length: 2'], 'no')}`;
    const server = await startScriptedServer(answering(() => text));
    const statuses: number[] = [];
    await clientOf(server.endpoint).exchange(
      put(Buffer.from('body'), {
        receive: (head) => {
          statuses.push(head.status);
          return { kind: 'collect', limit: 10 };
        },
      }),
    );
    expect(statuses).toEqual([404]);
  });
});
