/**
 * The faults that other tests rely on do what their names say, on the socket.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import type { Bucket } from '../../src/s3-server/bucket.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import { type FaultScript, faults } from '../support/fault-script.ts';
import { type RawRequest, send, sendPart, sign, startPhotosServer } from './raw-request.ts';

let server: S3Server;
let script: FaultScript;
let photos: Bucket;

beforeEach(async () => {
  server = await startPhotosServer();
  script = faults(server);
  photos = server.bucket('photos');
  photos.put(fern, { body });
});
afterEach(() => server.close());

const fern = keyFromText('fern');
const moss = keyFromText('moss');
const body = Buffer.from('green fronds');
const get = () => send(server, { method: 'GET', path: '/photos/fern' });
const put = (headers: Record<string, string> = {}, path = '/photos/moss') =>
  send(server, { method: 'PUT', path, headers, body });

/** Everything the server sends to one request before it ends the connection, and how that ended. */
async function rawAnswer(request: RawRequest): Promise<{ received: string; ended: string }> {
  const headers = await sign(server, request);
  const socket = connect(server.port, '127.0.0.1');
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(
    `${request.method} ${request.path} HTTP/1.1\r\n${lines.join('')}connection: close\r\n\r\n`,
  );
  let received = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    received += chunk;
  });
  let ended = 'close';
  // A reset that comes together with data is an ordinary end to libuv; but then the peer is gone.
  socket.once('end', () => {
    if (socket.remoteAddress === undefined) ended = 'reset';
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    ended = error.code === 'ECONNRESET' ? 'reset' : String(error.code);
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return { received, ended };
}

const rawGet = () => rawAnswer({ method: 'GET', path: '/photos/fern' });

describe('a rule', () => {
  it('refuses so many times, then lets pass', async () => {
    script.on('PUT').status(503, { code: 'SlowDown', retryAfter: 1 }).times(2);
    const answers = [await put(), await put(), await put()];
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 200]);
    expect(answers[0]).toMatchObject({ code: 'SlowDown', headers: { 'retry-after': '1' } });
  });

  it('is for its key, its operation and its turn alone', async () => {
    script.on('GetObject', 'fern').skip(1).times(1).status(500);
    script.on('HEAD').status(403);
    script
      .on('PUT')
      .where(({ headers }) => headers.has('content-md5'))
      .status(400);
    const statuses = [await get(), await get(), await get(), await put()].map(
      ({ status }) => status,
    );
    expect(statuses).toEqual([200, 500, 200, 200]);
  });

  it('nests its faults', async () => {
    let held = false;
    script
      .on('GET')
      .before(() => {
        held = true;
      })
      .etag('f00d')
      .corrupt(0);
    const answer = await get();
    expect(held).toBe(true);
    expect(answer.headers.etag).toBe('"f00d"');
    expect(answer.body.toString()).toBe('freen fronds');
  });

  it('can answer 200 with an Error inside', async () => {
    script.on('POST').status(200, { code: 'InternalError' });
    const answer = await send(server, {
      method: 'POST',
      path: '/photos/fern',
      query: { uploadId: 'u' },
    });
    expect(answer).toMatchObject({ status: 200, code: 'InternalError' });
  });
});

describe('an answer', () => {
  it.each(['close', 'reset'] as const)(
    'is truncated under its right length by a %s',
    async (ending) => {
      script.on('GET').truncateAt(5, ending);
      const { received, ended } = await rawGet();
      expect(received).toMatch(/content-length: 12\r\n[^]*\r\n\r\ngreen$/);
      expect(ended).toBe(ending);
    },
  );

  it('is nothing but its head', async () => {
    script.on('GET').truncateAt(0);
    expect((await rawGet()).received).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*\r\n\r\n$/);
  });

  it.each(['close', 'reset'] as const)('does not come, by a %s', async (ending) => {
    script.on('GET').disconnect(ending);
    expect(await rawGet()).toEqual({ received: '', ended: ending });
  });

  it('has no length', async () => {
    script.on('GET').withoutLength().times(1);
    script.on('GET').withoutLength('until-close');
    const chunked = await get();
    expect(chunked.headers['transfer-encoding']).toBe('chunked');
    expect(chunked.body).toEqual(body);
    expect((await rawGet()).received).toMatch(/connection: close\r\n\r\ngreen fronds$/i);
  });

  it('is shorter than the object, and says so', async () => {
    script.on('GET').shorten(5);
    expect(await get()).toMatchObject({ status: 200, headers: { 'content-length': '5' } });
  });

  it('declares another length', async () => {
    script.on('GET').declareLength(5);
    expect((await rawGet()).received).toMatch(/content-length: 5\r\n[^]*\r\n\r\ngreen fronds$/);
  });

  it('trickles, and arrives', async () => {
    script.on('GET').trickle({ bytes: 5, everyMs: 1 });
    expect((await get()).body).toEqual(body);
  });

  it('stalls until the server is closed', async () => {
    script.on('GET').stallAt(5);
    const request = { method: 'GET', path: '/photos/fern', body: Buffer.alloc(0) };
    const socket = await sendPart(server, request, 0);
    await once(socket, 'data');
    const rest = text(socket);
    await server.close();
    await rest;
    server = await startPhotosServer();
  });

  it('is lost after the object was stored', async () => {
    script.on('PUT').loseAnswer().times(1);
    await expect(put()).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(photos.get(moss)?.body).toEqual(body);
  });

  it('comes before the body was sent', async () => {
    script.on('PUT').status(412, { code: 'PreconditionFailed', unread: 'drain' }).times(1);
    const request = { method: 'PUT', path: '/photos/moss', body: Buffer.alloc(1 << 20) };
    const socket = await sendPart(server, request, 1);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString('latin1')).toMatch(/^HTTP\/1.1 412 /);
    socket.destroy();
  });
});

describe('an upload', () => {
  it('is reset while it is read', async () => {
    script.on('PUT').disconnectAfterReading(1);
    await expect(put()).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(photos.get(moss)).toBeUndefined();
  });

  it('is corrupted on its way in, which a digest shows', async () => {
    script.on('PUT').corruptUpload(0);
    expect(await put()).toMatchObject({ status: 200 });
    expect(photos.get(moss)?.body.toString()).toBe('freen fronds');
    const contentMd5 = Buffer.from(photos.get(fern)?.etag ?? '', 'hex').toString('base64');
    expect(await put({ 'content-md5': contentMd5 })).toMatchObject({ code: 'BadDigest' });
  });

  it('overwrites although it is conditional', async () => {
    script.on('PUT').ignoreConditions().times(1);
    const condition = { 'if-none-match': '*' };
    expect(await put(condition, '/photos/fern')).toMatchObject({ status: 200 });
    expect(await put(condition, '/photos/fern')).toMatchObject({ status: 412 });
  });
});

describe('a server that keeps truncated bodies', () => {
  beforeEach(() => script.keepTruncated());

  async function cut(request: RawRequest & { body: Buffer }, ending: 'close' | 'reset') {
    const arrived = script.requests.length + 1;
    const socket = await sendPart(server, request, 5);
    await script.until((seen) => seen.length >= arrived);
    const closed = once(socket, 'close');
    socket.resume();
    if (ending === 'reset') socket.resetAndDestroy();
    else socket.end();
    await closed;
    // A whole exchange later the server has dealt with the cut one.
    await get();
  }

  it('stores what a closed connection left', async () => {
    await cut({ method: 'PUT', path: '/photos/moss', body }, 'close');
    expect(photos.get(moss)?.body.toString()).toBe('green');
  });

  it('stores it under a condition too, unless that fails', async () => {
    const headers = { 'if-none-match': '*' };
    await cut({ method: 'PUT', path: '/photos/moss', headers, body }, 'close');
    await cut({ method: 'PUT', path: '/photos/fern', headers, body }, 'close');
    expect(photos.get(moss)?.body.toString()).toBe('green');
    expect(photos.get(fern)?.body).toEqual(body);
  });

  it('stores nothing after a reset', async () => {
    await cut({ method: 'PUT', path: '/photos/moss', body }, 'reset');
    expect(photos.get(moss)).toBeUndefined();
  });

  it('tells a reset from a close also when it comes right behind the data', async () => {
    for (let round = 0; round < 20; round++) {
      const socket = await sendPart(server, { method: 'PUT', path: '/photos/moss', body }, 5);
      socket.resetAndDestroy();
      await get();
    }
    expect(photos.get(moss)).toBeUndefined();
  });

  it.each([
    ['content-md5', 'H/eqXBQOzj8lwKtZWzfDZQ=='],
    ['x-amz-checksum-crc32', 'AAAAAA=='],
    ['x-amz-content-sha256', 'a'.repeat(64)],
  ])('stores nothing when %s was given', async (header, value) => {
    const headers = { [header]: value };
    await cut({ method: 'PUT', path: '/photos/moss', headers, body }, 'close');
    expect(photos.get(moss)).toBeUndefined();
  });

  it('shows a part with its declared size', async () => {
    const uploadId = photos.createUpload(moss, { headers: {}, tags: new Map() });
    const query = { uploadId, partNumber: '1' };
    await cut({ method: 'PUT', path: '/photos/moss', query, body }, 'close');
    const part = photos.upload(uploadId, moss).parts.get(1);
    expect(part?.body.toString()).toBe(`green${'\0'.repeat(7)}`);
  });
});

it('stores a key with a leading slash as the key without', async () => {
  script.leadingSlashAlias();
  await put({}, '/photos//lead');
  expect(photos.keys()).toContain('lead');
  expect(await put({ 'if-none-match': '*' }, '/photos/lead')).toMatchObject({ status: 412 });
});

it('logs what was asked, with lengths and answers', async () => {
  const third = script.seen('PUT', 3);
  await Promise.all([put({}, '/photos/a'), put({}, '/photos/b'), put({}, '/photos/c')]);
  await third;
  await get();
  expect(script.count('PUT')).toBe(3);
  expect(script.requests.at(-1)).toMatchObject({
    method: 'GET',
    operation: 'GetObject',
    bucket: 'photos',
    key: 'fern',
    bodyBytes: 0,
    status: 200,
  });
  expect(script.requests[0]).toMatchObject({ operation: 'PutObject', bodyBytes: 12, status: 200 });
});
