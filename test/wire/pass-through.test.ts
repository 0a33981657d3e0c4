import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SignedRequest, WireClient } from '../../src/wire/client.ts';
import type { Answer } from '../../src/wire/connection.ts';
import { Passage } from '../../src/wire/passage.ts';
import {
  answer,
  answering,
  clientOf,
  deferred,
  eventLoopTurns,
  get,
  ok,
  type SecureServer,
  startScriptedServer,
} from './scripted-server.ts';

const LOCAL: SecureServer = {
  key: readFileSync(new URL('../s3-server/localhost.key.pem', import.meta.url), 'utf8'),
  cert: readFileSync(new URL('../s3-server/localhost.cert.pem', import.meta.url), 'utf8'),
};
const LARGE_BYTES = 32 * 1024 * 1024;

/** Bytes that differ from place to place. */
function contentOf(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 7919) >> 8));
}

interface Copy {
  readonly got: Promise<Answer>;
  readonly put: Promise<Answer>;
}

/** Passes the body of a GET into a PUT. */
function copy(source: WireClient, destination: WireClient, length: number): Copy {
  const passage = new Passage(length, () => {});
  const request: SignedRequest = { ...get(), method: 'PUT', body: passage, repeatable: false };
  const put = destination.exchange(request);
  const got = source.exchange(get('/photos/a', { receive: () => ({ kind: 'pass', passage }) }));
  // Both are awaited, one after the other.
  put.catch(() => {});
  got.catch(() => {});
  return { got, put };
}

/** A source that sends `length` bytes, in its own rhythm. */
function sourceOf(content: Buffer, secure?: SecureServer) {
  return startScriptedServer(async (peer) => {
    while ((await peer.request()) !== undefined) {
      peer.socket.write(answer(200, [`Content-Length: ${content.length}`]), 'latin1');
      peer.socket.write(content);
    }
  }, secure);
}

describe('a body that passes from one exchange to another', () => {
  it.each([
    ['http to http', undefined, undefined],
    ['https to http', LOCAL, undefined],
    ['http to https', undefined, LOCAL],
    ['https to https', LOCAL, LOCAL],
  ] as const)('arrives as it was, %s', async (_, sourceTls, destinationTls) => {
    for (const length of [1, 2, 1000, 65_536, 65_537, 262_144, 262_145, 3_000_000]) {
      const content = contentOf(length);
      const from = await sourceOf(content, sourceTls);
      const into = await startScriptedServer(
        answering(({ body }) => ok(String(body.equals(content)))),
        destinationTls,
      );
      const source = clientOf(from.endpoint);
      const destination = clientOf(into.endpoint);
      for (let i = 0; i < 2; i++) {
        const { got, put } = copy(source, destination, length);
        expect((await put).body.toString()).toBe('true');
        expect((await got).whole).toBe(true);
      }
      expect([from.peers.length, into.peers.length]).toEqual([1, 1]);
    }
  });

  it('leaves its connections fit for use when it was decided late where it goes', async () => {
    const content = contentOf(50_000);
    const from = await sourceOf(content);
    const into = await startScriptedServer(
      answering(({ body }) => ok(String(body.equals(content)))),
      LOCAL,
    );
    const source = clientOf(from.endpoint);
    const destination = clientOf(into.endpoint);
    for (let i = 0; i < 3; i++) {
      const passage = new Passage(content.length, () => {});
      const body = { method: 'PUT', body: passage, repeatable: false } as const;
      const put = destination.exchange({ ...get(), ...body });
      const receive = async () => {
        await eventLoopTurns();
        return { kind: 'pass', passage } as const;
      };
      expect((await source.exchange(get('/photos/a', { receive }))).whole).toBe(true);
      expect((await put).body.toString()).toBe('true');
    }
    expect([from.peers.length, into.peers.length]).toEqual([1, 1]);
  });

  it.each(['end', 'reset'] as const)(
    'ends the request by a reset when its source breaks off (%s)',
    async (ending) => {
      for (const secure of [undefined, LOCAL]) {
        const from = await startScriptedServer(async (peer) => {
          await peer.request();
          await peer.send(answer(200, ['Content-Length: 1000']), contentOf(400));
          peer[ending]();
        });
        const into = await startScriptedServer(async (peer) => {
          await peer.request();
        }, secure);
        const { got, put } = copy(clientOf(from.endpoint), clientOf(into.endpoint), 1000);
        await expect(got).rejects.toMatchObject({ code: 'closed' });
        await expect(put).rejects.toMatchObject({ code: 'aborted' });
        if (into.peers[0] !== undefined) expect(await into.peers[0].ended).toBe('reset');
      }
    },
  );

  it('ends the request when the source is not reached or has no such object', async () => {
    const into = await startScriptedServer(async (peer) => {
      await peer.request();
    });
    const from = await startScriptedServer(
      answering(() => answer(200, ['Content-Length: 5'], 'hello')),
    );
    const { got, put } = copy(clientOf(from.endpoint), clientOf(into.endpoint), 6);
    await expect(got).rejects.toMatchObject({ code: 'aborted' });
    await expect(put).rejects.toMatchObject({ code: 'aborted' });
  });

  it('is read no further when the request is answered early', async () => {
    const from = await sourceOf(Buffer.alloc(LARGE_BYTES));
    const into = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      peer.stopReading();
      await peer.send(answer(412, ['Content-Length: 2'], 'no'));
      await eventLoopTurns();
      peer.discard();
    });
    const { got, put } = copy(clientOf(from.endpoint), clientOf(into.endpoint), LARGE_BYTES);
    expect((await put).head.status).toBe(412);
    expect((await got).whole).toBe(false);
    expect(await from.peers[0]?.ended).toBe('reset');
    expect(await into.peers[0]?.ended).toBe('reset');
  });

  it('is read no further when the request’s connection breaks', async () => {
    const from = await sourceOf(Buffer.alloc(LARGE_BYTES));
    const into = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      peer.reset();
    });
    const { got, put } = copy(clientOf(from.endpoint), clientOf(into.endpoint), LARGE_BYTES);
    await expect(put).rejects.toMatchObject({ code: 'closed', sent: true });
    expect((await got).whole).toBe(false);
  });

  it('is not sent a second time when the clock is corrected: it has passed', async () => {
    const from = await sourceOf(contentOf(1000));
    const date = `Date: ${new Date(Date.now() + 3_600_000).toUTCString()}`;
    const into = await startScriptedServer(
      answering(() => answer(403, [date, 'Content-Length: 0'])),
    );
    const destination = clientOf(into.endpoint);
    const { got, put } = copy(clientOf(from.endpoint), destination, 1000);
    await expect(put).rejects.toMatchObject({ code: 'clock-corrected', sent: false });
    expect((await got).whole).toBe(true);
    expect(Math.abs(destination.clockOffsetMs - 3_600_000)).toBeLessThan(60_000);
  });

  it('is not sent a second time either when its connection had been closed while idle', async () => {
    const from = await sourceOf(contentOf(1000));
    const into = await startScriptedServer(async (peer) => {
      await peer.request();
      await peer.send(ok('first'));
      await peer.requestHead();
      peer.reset();
    });
    const destination = clientOf(into.endpoint);
    await destination.exchange(get());
    const passage = new Passage(1000, () => {});
    const put = destination.exchange({ ...get(), method: 'PUT', body: passage, repeatable: true });
    await expect(put).rejects.toMatchObject({ code: 'closed', stale: true });
    const receive = () => ({ kind: 'pass', passage }) as const;
    const got = clientOf(from.endpoint).exchange(get('/photos/a', { receive }));
    expect((await got).whole).toBe(false);
    expect(into.peers).toHaveLength(1);
  });

  it('is read no further when the client it should go to is closed already', async () => {
    const from = await sourceOf(Buffer.alloc(LARGE_BYTES));
    const into = await startScriptedServer(() => {});
    const destination = clientOf(into.endpoint);
    destination.close();
    const { got, put } = copy(clientOf(from.endpoint), destination, LARGE_BYTES);
    await expect(put).rejects.toMatchObject({ code: 'aborted', sent: false });
    expect((await got).whole).toBe(false);
  });

  it('ends the request when its source is gone before it was decided where it goes', async () => {
    const from = await sourceOf(contentOf(1000));
    const into = await startScriptedServer(async (peer) => {
      await peer.request();
    });
    const source = clientOf(from.endpoint);
    const passage = new Passage(1000, () => {});
    const asked = deferred<void>();
    const decided = deferred<{ kind: 'pass'; passage: Passage }>();
    const receive = () => {
      asked.resolve();
      return decided.promise;
    };
    const got = source.exchange(get('/photos/a', { receive }));
    await asked.promise;
    source.close();
    await expect(got).rejects.toMatchObject({ code: 'aborted' });
    const request: SignedRequest = { ...get(), method: 'PUT', body: passage, repeatable: false };
    const put = clientOf(into.endpoint).exchange(request);
    decided.resolve({ kind: 'pass', passage });
    await expect(put).rejects.toMatchObject({ code: 'aborted' });
  });

  it('waits for a slow destination without being read on', async () => {
    const content = Buffer.alloc(LARGE_BYTES);
    const from = await sourceOf(content);
    const stuck = deferred<void>();
    const into = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      peer.stopReading();
      await stuck.promise;
      peer.discard();
    });
    let read = 0;
    const passage = new Passage(LARGE_BYTES, (bytes) => {
      read += bytes;
    });
    const source = clientOf(from.endpoint);
    const destination = clientOf(into.endpoint);
    const request: SignedRequest = { ...get(), method: 'PUT', body: passage, repeatable: false };
    const put = destination.exchange(request);
    const got = source.exchange(get('/photos/a', { receive: () => ({ kind: 'pass', passage }) }));
    put.catch(() => {});
    for (let before = -1; !passage.full || before < read; ) {
      before = read;
      await eventLoopTurns();
    }
    expect(read).toBeLessThan(LARGE_BYTES);
    stuck.resolve();
    expect((await got).whole).toBe(true);
    expect(read).toBe(LARGE_BYTES);
    destination.close();
    await expect(put).rejects.toMatchObject({ code: 'aborted' });
  });
});
