/**
 * A connection is told the time by whoever watches it, so these tests turn the clock by hand: each
 * limit is met exactly, and nothing waits.
 */
import { describe, expect, it } from 'vitest';
import type { Connection, ExchangeRequest, TimeLimits } from '../../src/wire/connection.ts';
import { Passage } from '../../src/wire/passage.ts';
import { WireError } from '../../src/wire/wire-error.ts';
import {
  answer,
  bareGet,
  clientOf,
  connectionTo,
  deferred,
  eventLoopTurns,
  get,
  ok,
  type Peer,
  startScriptedServer,
} from './scripted-server.ts';

const LIMITS: TimeLimits = {
  connectMs: 1_000,
  firstByteMs: 10_000,
  idleMs: 3_000,
  throughputMinBytes: 1_000,
  throughputWindowMs: 20_000,
  completeMs: 900_000,
};
const STUCK_BYTES = 32 * 1024 * 1024;

interface Scene {
  readonly connection: Connection;
  readonly peer: Peer;
  /** Settled with the error's code, or with `answered`. */
  readonly end: Promise<string>;
}

/** An exchange whose request the server has read (only its head when there is a body). */
async function begin(request: Partial<ExchangeRequest> = {}): Promise<Scene> {
  const arrived = deferred<Peer>();
  const server = await startScriptedServer(async (peer) => {
    await peer.requestHead();
    if (request.body !== undefined) peer.stopReading();
    arrived.resolve(peer);
  });
  const connection = connectionTo(server.endpoint);
  const end = endOf(connection, bareGet(LIMITS, request));
  const peer = await arrived.promise;
  // The connection notes what has moved when it is watched.
  connection.watch(0);
  return { connection, peer, end };
}

function endOf(connection: Connection, request: ExchangeRequest): Promise<string> {
  return connection.exchange(request, 0).then(
    () => 'answered',
    (error: unknown) => (error instanceof WireError ? error.code : String(error)),
  );
}

/** `open` while the exchange goes on. */
async function stateOf(end: Promise<string>): Promise<string> {
  await eventLoopTurns();
  return Promise.race([end, Promise.resolve('open')]);
}

describe('a time limit', () => {
  it('ends connecting', async () => {
    const server = await startScriptedServer(() => {});
    const connection = connectionTo(server.endpoint);
    const end = endOf(connection, bareGet(LIMITS));
    connection.watch(1_000);
    connection.watch(1_001);
    expect(await end).toBe('connect-timeout');
    expect(connection.closed).toBe(true);
  });

  it('ends a TLS handshake that the server does not answer, by a reset', async () => {
    const hello = deferred<void>();
    const server = await startScriptedServer((peer) => {
      peer.socket.once('data', () => hello.resolve());
    });
    const tls = { verify: true };
    const connection = connectionTo({ ...server.endpoint, tls });
    const end = endOf(connection, bareGet(LIMITS));
    await hello.promise;
    connection.watch(1_000);
    expect(await stateOf(end)).toBe('open');
    connection.watch(1_001);
    expect(await end).toBe('connect-timeout');
    expect(await server.peers[0]?.ended).toBe('reset');
  });

  it('ends the wait for the first byte', async () => {
    const { connection, peer, end } = await begin();
    connection.watch(10_000);
    expect(await stateOf(end)).toBe('open');
    connection.watch(10_001);
    expect(await end).toBe('first-byte-timeout');
    expect(await peer.ended).toBe('reset');
  });

  it('for the first byte is not prolonged by interim answers', async () => {
    const { connection, peer, end } = await begin();
    for (let now = 1_000; now <= 10_000; now += 1_000) {
      await peer.send('HTTP/1.1 102 Processing\r\n\r\n');
      connection.watch(now);
    }
    expect(await stateOf(end)).toBe('open');
    connection.watch(10_001);
    expect(await end).toBe('first-byte-timeout');
  });

  it.each([
    ['a head', 'HTTP/1.1 200 OK\r\nContent-'],
    ['a body', answer(200, ['Content-Length: 100'], 'x')],
    ['a chunk', answer(200, ['Transfer-Encoding: chunked'], '5\r\nhe')],
    ['a body without a length', answer(200, [], 'x')],
  ])('ends %s that stops in the middle', async (_, text) => {
    const { connection, peer, end } = await begin();
    await peer.send(text);
    connection.watch(5_000);
    connection.watch(8_000);
    expect(await stateOf(end)).toBe('open');
    connection.watch(8_001);
    expect(await end).toBe('idle-timeout');
    expect(await peer.ended).toBe('reset');
  });

  it('ends a body that stops on its way straight into a buffer', async () => {
    const buffer = Buffer.alloc(500_000);
    const { connection, peer, end } = await begin({ receive: () => ({ kind: 'into', buffer }) });
    await peer.send(answer(200, ['Content-Length: 500000']), 'x'.repeat(200_000));
    connection.watch(5_000);
    await peer.send('x'.repeat(100_000));
    connection.watch(7_900);
    connection.watch(10_900);
    expect(await stateOf(end)).toBe('open');
    connection.watch(10_901);
    expect(await end).toBe('idle-timeout');
  });

  it('ends a request that the server does not read on', async () => {
    const { connection, peer, end } = await begin({
      method: 'PUT',
      head: `PUT /photos/a HTTP/1.1\r\nhost: store.test\r\ncontent-length: ${STUCK_BYTES}\r\n\r\n`,
      body: Buffer.alloc(STUCK_BYTES),
    });
    let now = 0;
    while ((await stateOf(end)) === 'open') {
      now += LIMITS.idleMs + 1;
      connection.watch(now);
    }
    expect(await end).toBe('idle-timeout');
    peer.socket.resume();
    expect(await peer.ended).toBe('reset');
  });

  it.each([
    ['a body', answer(200, ['Content-Length: 1000'])],
    ['a head', 'HTTP/1.1 200 OK\r\n'],
  ])('ends %s that trickles', async (_, text) => {
    const { connection, peer, end } = await begin();
    await peer.send(text);
    for (let now = 1_000; now <= 19_000; now += 1_000) {
      await peer.send('x');
      connection.watch(now);
    }
    expect(await stateOf(end)).toBe('open');
    await peer.send('x');
    connection.watch(21_000);
    expect(await end).toBe('too-slow');
    expect(await peer.ended).toBe('reset');
  });

  it.each([
    ['an interim head', 'HTTP/1.1 102 Pro'],
    ['an error document', answer(503, ['Content-Length: 5000'], '<Error>')],
    ['the content of chunks', answer(200, ['Transfer-Encoding: chunked'], '5000\r\n')],
    ['a body without a length', answer(200, [], 'x')],
  ])('ends %s that trickles', async (_, text) => {
    const { connection, peer, end } = await begin();
    await peer.send(text);
    for (let now = 1_000; now <= 21_000; now += 1_000) {
      await peer.send('x');
      connection.watch(now);
    }
    expect(await end).toBe('too-slow');
  });

  it('ends an answer that is nothing but the framing of chunks', async () => {
    const { connection, peer, end } = await begin();
    await peer.send(answer(200, ['Transfer-Encoding: chunked'], '1;'));
    connection.watch(1_000);
    for (let now = 2_000; now <= 4_000; now += 1_000) {
      await peer.send('x'.repeat(2_000));
      connection.watch(now);
    }
    expect(await stateOf(end)).toBe('open');
    await peer.send('x'.repeat(2_000));
    connection.watch(4_001);
    expect(await end).toBe('idle-timeout');
  });

  it('leaves a body alone that is slow but fast enough', async () => {
    const { connection, peer, end } = await begin();
    await peer.send(answer(200, ['Content-Length: 100000']));
    for (let now = 1_000; now <= 100_000; now += 1_000) {
      await peer.send('x'.repeat(100));
      connection.watch(now);
    }
    expect(await stateOf(end)).toBe('open');
    await peer.send('x'.repeat(90_000));
    expect(await end).toBe('answered');
  });

  it('does not run while it is decided where the body goes, nor is that time counted after', async () => {
    const decision = deferred<{ kind: 'collect'; limit: number }>();
    const { connection, peer, end } = await begin({ receive: () => decision.promise });
    await peer.send(answer(200, ['Content-Length: 5']), 'he');
    for (let now = 1_000; now <= 39_500; now += 500) connection.watch(now);
    expect(await stateOf(end)).toBe('open');
    decision.resolve({ kind: 'collect', limit: 10 });
    expect(await stateOf(end)).toBe('open');
    for (let now = 40_000; now <= 43_000; now += 500) connection.watch(now);
    expect(await stateOf(end)).toBe('open');
    connection.watch(43_001);
    expect(await end).toBe('idle-timeout');
  });

  it('does not end a connection that is idle between exchanges', async () => {
    const server = await startScriptedServer(async (peer) => {
      while ((await peer.request()) !== undefined) await peer.send(ok('hello'));
    });
    const connection = connectionTo(server.endpoint);
    await connection.exchange(bareGet(LIMITS), 0);
    connection.watch(1_000_000);
    expect(connection.closed).toBe(false);
    const second = connection.exchange(bareGet(LIMITS), 1_000_000);
    connection.watch(1_000_001);
    await second;
    expect(connection.served).toBe(2);
  });

  it('ends a GET that trickles into a PUT, and lets the PUT wait for it until then', async () => {
    const passage = new Passage(100_000, () => {});
    const reading = await begin({ receive: () => ({ kind: 'pass', passage }) });
    const writing = await begin({
      method: 'PUT',
      head: 'PUT /photos/a HTTP/1.1\r\nhost: store.test\r\ncontent-length: 100000\r\n\r\n',
      body: passage,
    });
    await reading.peer.send(answer(200, ['Content-Length: 100000']));
    for (let now = 1_000; now <= 20_000; now += 1_000) {
      await reading.peer.send('x');
      await eventLoopTurns();
      writing.connection.watch(now);
      expect(await stateOf(writing.end)).toBe('open');
      reading.connection.watch(now);
    }
    expect(await reading.end).toBe('too-slow');
    expect(await writing.end).toBe('aborted');
    writing.peer.socket.resume();
    expect(await writing.peer.ended).toBe('reset');
  });

  it('ends a PUT that the server does not read on, and the GET that fills it', async () => {
    const passage = new Passage(STUCK_BYTES, () => {});
    const reading = await begin({ receive: () => ({ kind: 'pass', passage }) });
    const writing = await begin({
      method: 'PUT',
      head: `PUT /photos/a HTTP/1.1\r\nhost: store.test\r\ncontent-length: ${STUCK_BYTES}\r\n\r\n`,
      body: passage,
    });
    reading.peer.socket.write(answer(200, [`Content-Length: ${STUCK_BYTES}`]));
    reading.peer.socket.write(Buffer.alloc(STUCK_BYTES));
    let now = 0;
    while ((await stateOf(writing.end)) === 'open') {
      now += LIMITS.idleMs + 1;
      reading.connection.watch(now);
      writing.connection.watch(now);
    }
    expect(await writing.end).toBe('idle-timeout');
    expect(await reading.end).toBe('answered');
    expect(passage.brokenBy).toBe('writer');
    expect(reading.connection.closed).toBe(true);
    writing.peer.socket.resume();
  });

  it('does not count the time of connecting as a time of low throughput', async () => {
    const arrived = deferred<Peer>();
    const server = await startScriptedServer(async (peer) => {
      await peer.requestHead();
      arrived.resolve(peer);
    });
    const connection = connectionTo(server.endpoint);
    const end = endOf(connection, bareGet({ ...LIMITS, connectMs: 30_000 }));
    connection.watch(19_000);
    const peer = await arrived.promise;
    await peer.send('HTTP/1.1 200 OK\r\nContent-');
    connection.watch(19_500);
    connection.watch(20_500);
    expect(await stateOf(end)).toBe('open');
  });
});

describe('an answer that has a time of its own', () => {
  const PATIENT = { answerWithinMs: 900_000 };

  it.each([
    ['in silence', ''],
    ['with a blank now and then', answer(200, ['Transfer-Encoding: chunked'])],
  ])('may take it, %s', async (_, head) => {
    const { connection, peer, end } = await begin(PATIENT);
    if (head !== '') await peer.send(head);
    for (let now = 10_000; now <= 900_000; now += 10_000) {
      if (head !== '') await peer.send('1\r\n \r\n');
      connection.watch(now);
    }
    expect(await stateOf(end)).toBe('open');
    await peer.send(head === '' ? ok('done') : '4\r\ndone\r\n0\r\n\r\n');
    expect(await end).toBe('answered');
  });

  it.each([
    ['in silence', '', 'first-byte-timeout'],
    ['with blanks', answer(200, ['Transfer-Encoding: chunked']), 'too-slow'],
  ])('is ended after it, %s', async (_, head, code) => {
    const { connection, peer, end } = await begin(PATIENT);
    if (head !== '') await peer.send(head);
    for (let now = 10_000; now <= 900_000; now += 10_000) {
      if (head !== '') await peer.send('1\r\n \r\n');
      connection.watch(now);
    }
    expect(await stateOf(end)).toBe('open');
    connection.watch(900_001);
    expect(await end).toBe(code);
    expect(await peer.ended).toBe('reset');
  });

  it('leaves the limits on the sending of its request as they are', async () => {
    const { connection, peer, end } = await begin({
      ...PATIENT,
      method: 'POST',
      head: `POST /photos/a HTTP/1.1\r\nhost: store.test\r\ncontent-length: ${STUCK_BYTES}\r\n\r\n`,
      body: Buffer.alloc(STUCK_BYTES),
    });
    let now = 0;
    while ((await stateOf(end)) === 'open') {
      now += LIMITS.idleMs + 1;
      connection.watch(now);
    }
    expect(await end).toBe('idle-timeout');
    peer.socket.resume();
  });
});

describe('a client', () => {
  it('keeps the limits, and others for a request that may take long', async () => {
    const server = await startScriptedServer(() => {});
    const limits = { ...LIMITS, firstByteMs: 1 };
    const client = clientOf(server.endpoint, { limits });
    let patientEnded = false;
    const patient = client.exchange(get('/photos/a', { answerWithinMs: 60_000 })).catch(() => {
      patientEnded = true;
    });
    await expect(client.exchange(get())).rejects.toMatchObject({
      code: 'first-byte-timeout',
      sent: true,
      stale: false,
    });
    expect(patientEnded).toBe(false);
    client.close();
    await patient;
  });
});
