/**
 * The embedded server byte by byte: signatures, keys and headers that are not text, ranges,
 * conditions, digests, bodies that end too soon.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import type { Bucket } from '../../src/s3-server/bucket.ts';
import type { S3Server } from '../../src/s3-server/server.ts';
import { type FaultScript, faults } from '../support/fault-script.ts';
import { exchange, send, sendPart, sign, startPhotosServer } from './raw-request.ts';

let server: S3Server;
let script: FaultScript;
let photos: Bucket;

beforeAll(async () => {
  server = await startPhotosServer({ virtualHostDomain: 's3.example' });
  script = faults(server);
  photos = server.bucket('photos');
});
afterAll(() => server.close());
beforeEach(() => {
  for (const key of photos.keys()) photos.delete(key);
});

const granite = keyFromText('granite');
const body = Buffer.from('granite and moss');
const digest = (algorithm: string, bytes = body) =>
  createHash(algorithm).update(bytes).digest('base64');
const put = (headers: Record<string, string> = {}, path = '/photos/granite') =>
  send(server, { method: 'PUT', path, headers, body });
const get = (headers: Record<string, string> = {}, path = '/photos/granite') =>
  send(server, { method: 'GET', path, headers });

describe('a signature', () => {
  it.each([
    ['by an unknown key', { accessKeyId: 'NOBODY' }, 403, 'InvalidAccessKeyId'],
    ['with a wrong secret', { secretAccessKey: 'guess' }, 403, 'SignatureDoesNotMatch'],
    ['for another region', { region: 'eu-west-1' }, 400, 'AuthorizationHeaderMalformed'],
    ['16 minutes old', { date: new Date(Date.now() - 16 * 60_000) }, 403, 'RequestTimeTooSkewed'],
    ['16 minutes early', { date: new Date(Date.now() + 16 * 60_000) }, 403, 'RequestTimeTooSkewed'],
  ])('%s is refused', async (_, signing, status, code) => {
    const answer = await send(server, { method: 'GET', path: '/photos/granite', signing });
    expect(answer).toMatchObject({ status, code });
  });

  it('14 minutes old is taken', async () => {
    const signing = { date: new Date(Date.now() - 14 * 60_000) };
    const answer = await send(server, { method: 'HEAD', path: '/photos', signing });
    expect(answer.status).toBe(200);
  });

  it('must be there', async () => {
    const request = { method: 'GET', path: '/photos/granite' };
    const host = { host: '127.0.0.1' };
    expect(await exchange(server, request, host)).toMatchObject({
      status: 403,
      code: 'AccessDenied',
    });
  });

  it('covers path, query, method and every x-amz- header', async () => {
    const request = { method: 'PUT', path: '/photos/a', body, query: { 'x-id': 'PutObject' } };
    const headers = await sign(server, request);
    const tampered = [
      exchange(server, { ...request, path: '/photos/b' }, headers),
      exchange(server, { ...request, query: { 'x-id': 'other' } }, headers),
      exchange(server, { ...request, method: 'DELETE' }, headers),
      exchange(server, request, { ...headers, 'x-amz-date': '20200101T000000Z' }),
      exchange(server, request, { ...headers, 'x-amz-meta-late': 'yes' }),
    ];
    expect((await Promise.all(tampered)).map(({ code }) => code)).toEqual([
      'SignatureDoesNotMatch',
      'SignatureDoesNotMatch',
      'SignatureDoesNotMatch',
      'RequestTimeTooSkewed',
      'AccessDenied',
    ]);
    expect(photos.keys()).toEqual([]);
    expect((await exchange(server, request, headers)).status).toBe(200);
  });

  it('is made over header values with their spaces folded', async () => {
    const spaced = { 'x-amz-meta-a': ' two  spaces   inside ' };
    const request = { method: 'PUT', path: '/photos/granite', body, headers: spaced };
    const headers = await sign(server, request);
    expect((await exchange(server, request, { ...headers, ...spaced })).status).toBe(200);
    expect(photos.get(granite)?.headers['x-amz-meta-a']).toBe('two  spaces   inside');
  });

  it('of SHA-256 covers the body', async () => {
    const sha256 = createHash('sha256').update(body).digest('hex');
    const right = { 'x-amz-content-sha256': sha256 };
    const request = { method: 'PUT', path: '/photos/granite', headers: right };
    expect(await send(server, { ...request, body: Buffer.from('granite and mosS') })).toMatchObject(
      {
        status: 400,
        code: 'XAmzContentSHA256Mismatch',
      },
    );
    expect(photos.keys()).toEqual([]);
    expect(await send(server, { ...request, body })).toMatchObject({ status: 200 });
  });
});

describe('a key', () => {
  it.each([
    ['of bytes that are not UTF-8', '%FF%FEraw', '\xff\xferaw'],
    ['with slashes in odd places', '////a//', '////a//'],
    ['with dot segments', '../.././x', '../.././x'],
    ['with control characters', '%00%01%0A%7F', '\0\x01\n\x7f'],
    ['with a plus, a percent and a space', '%2B%25%20', '+% '],
  ])('%s is kept exact', async (_, path, key) => {
    expect((await put({}, `/photos/${path}`)).status).toBe(200);
    expect(photos.keys()).toEqual([key]);
    expect((await get({}, `/photos/${path}`)).body).toEqual(body);
  });

  it('of 1,024 bytes is taken, a longer one refused', async () => {
    expect((await put({}, `/photos/${'k'.repeat(1024)}`)).status).toBe(200);
    expect(await put({}, `/photos/${'k'.repeat(1025)}`)).toMatchObject({
      status: 400,
      code: 'KeyTooLongError',
    });
  });

  it('with a broken escape is refused', async () => {
    expect(await put({}, '/photos/100%')).toMatchObject({ status: 400, code: 'InvalidURI' });
  });
});

describe('addressing', () => {
  it.each([
    ['photos.s3.example', 'a subdomain of the domain'],
    ['photos.s3.example:9000', 'with a port'],
    ['photos.localhost:9000', 'a subdomain of localhost'],
    ['photos.tunnel.test', 'any host whose first label is a bucket'],
  ])('takes the bucket from the host %s (%s)', async (host) => {
    photos.put(granite, { body });
    const answer = await send(server, { method: 'GET', path: '/granite', headers: { host } });
    expect(answer.body).toEqual(body);
  });

  it('takes the bucket from the path for any other host', async () => {
    photos.put(granite, { body });
    const headers = { host: 's3.example' };
    const answer = await send(server, { method: 'GET', path: '/photos/granite', headers });
    expect(answer.body).toEqual(body);
  });
});

describe('metadata', () => {
  it('comes back as the bytes that were sent, 0x80 and above too', async () => {
    const headers = {
      'x-amz-meta-latin': 'caf\xe9',
      'x-amz-meta-utf8': 'caf\xc3\xa9',
      expires: '-1',
      'content-encoding': 'zstd, custom',
      'content-disposition': 'attachment; filename="\xc3\xa9"',
    };
    // By hand: Node's client would send the content-disposition in an encoding of its own.
    const request = { method: 'PUT', path: '/photos/granite', headers, body };
    const socket = await sendPart(server, request, body.length);
    await once(socket, 'data');
    socket.destroy();
    expect(photos.get(granite)?.headers).toMatchObject(headers);
    expect((await get()).headers).toMatchObject(headers);
  });

  it('does not keep aws-chunked as an encoding', async () => {
    await put({ 'content-encoding': 'gzip,aws-chunked' });
    expect(photos.get(granite)?.headers['content-encoding']).toBe('gzip');
    await put({ 'content-encoding': 'aws-chunked' });
    expect(photos.get(granite)?.headers['content-encoding']).toBeUndefined();
  });

  it('over 2 KB is refused', async () => {
    expect(await put({ 'x-amz-meta-note': 'n'.repeat(2048) })).toMatchObject({
      status: 400,
      code: 'MetadataTooLarge',
    });
  });
});

describe('a range', () => {
  it.each([
    ['bytes=0-0', 'g', '0-0'],
    ['bytes=8-10', 'and', '8-10'],
    ['bytes=12-', 'moss', '12-15'],
    ['bytes=-4', 'moss', '12-15'],
    ['bytes=-400', 'granite and moss', '0-15'],
    ['bytes=12-400', 'moss', '12-15'],
  ])('%s is answered with 206', async (range, text, contentRange) => {
    photos.put(granite, { body });
    const answer = await get({ range });
    expect(answer.status).toBe(206);
    expect(answer.body.toString()).toBe(text);
    expect(answer.headers['content-range']).toBe(`bytes ${contentRange}/16`);
  });

  it.each(['bytes=16-', 'bytes=99-100', 'bytes=-0'])('%s is not satisfiable', async (range) => {
    photos.put(granite, { body });
    expect(await get({ range })).toMatchObject({ status: 416, code: 'InvalidRange' });
  });

  it.each(['bytes=4-2', 'bytes=0-1,4-5', 'lines=1-2', 'bytes=-'])(
    '%s is ignored',
    async (range) => {
      photos.put(granite, { body });
      expect(await get({ range })).toMatchObject({ status: 200, body });
    },
  );

  it('of an empty object is not satisfiable', async () => {
    photos.put(granite, { body: Buffer.alloc(0) });
    expect(await get({ range: 'bytes=0-' })).toMatchObject({ status: 416 });
    expect(await get()).toMatchObject({ status: 200, headers: { 'content-length': '0' } });
  });

  it('of a HEAD tells the length and sends nothing', async () => {
    photos.put(granite, { body });
    const headers = { range: 'bytes=-4' };
    const answer = await send(server, { method: 'HEAD', path: '/photos/granite', headers });
    expect(answer).toMatchObject({ status: 206, headers: { 'content-length': '4' } });
    expect(answer.body).toHaveLength(0);
  });
});

describe('a condition', () => {
  it('lets exactly one of 8 racing writers win', async () => {
    for (let round = 0; round < 10; round++) {
      const path = `/photos/race-${round}`;
      const racers = Array.from({ length: 8 }, (_, writer) =>
        send(server, {
          method: 'PUT',
          path,
          headers: { 'if-none-match': '*' },
          body: Buffer.from(`writer ${writer}`),
        }),
      );
      const answers = await Promise.all(racers);
      const winners = answers.flatMap(({ status }, writer) => (status === 200 ? [writer] : []));
      expect(winners).toHaveLength(1);
      expect(answers.filter(({ code }) => code === 'PreconditionFailed')).toHaveLength(7);
      const stored = photos.get(keyFromText(`race-${round}`))?.body.toString();
      expect(stored).toBe(`writer ${winners[0]}`);
    }
  });

  it('is evaluated when the body is complete', async () => {
    const request = {
      method: 'PUT',
      path: '/photos/granite',
      headers: { 'if-none-match': '*' },
      body,
    };
    const socket = await sendPart(server, request, 5);
    await script.until((seen) => seen.at(-1)?.operation === 'PutObject');
    photos.put(granite, { body: Buffer.from('meanwhile') });
    socket.write(body.subarray(5));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString('latin1')).toMatch(/^HTTP\/1.1 412 /);
    expect(photos.get(granite)?.body.toString()).toBe('meanwhile');
    socket.destroy();
  });

  it('on a write follows the ETag', async () => {
    const right = `"${photos.put(granite, { body }).etag}"`;
    expect(await put({ 'if-match': '"other"' })).toMatchObject({ status: 412 });
    expect(await put({ 'if-match': right })).toMatchObject({ status: 200 });
    const missing = await put({ 'if-match': right }, '/photos/missing');
    expect(missing).toMatchObject({ status: 404, code: 'NoSuchKey' });
    expect(await put({ 'if-none-match': right })).toMatchObject({ status: 501 });
  });

  it('on a read follows the ETag', async () => {
    const right = `"${photos.put(granite, { body }).etag}"`;
    expect(await get({ 'if-match': '"other"' })).toMatchObject({ status: 412 });
    expect(await get({ 'if-match': right, range: 'bytes=0-3' })).toMatchObject({ status: 206 });
    const unchanged = await get({ 'if-none-match': right });
    expect(unchanged).toMatchObject({ status: 304, headers: { etag: right } });
    expect(unchanged.body).toHaveLength(0);
    expect(await get({ 'if-none-match': '"other"' })).toMatchObject({ status: 200 });
  });

  it('on a delete keeps the object', async () => {
    const right = `"${photos.put(granite, { body }).etag}"`;
    const remove = (etag: string) =>
      send(server, { method: 'DELETE', path: '/photos/granite', headers: { 'if-match': etag } });
    expect(await remove('"other"')).toMatchObject({ status: 412 });
    expect(photos.get(granite)).toBeDefined();
    expect(await remove(right)).toMatchObject({ status: 204 });
    expect(photos.get(granite)).toBeUndefined();
  });
});

describe('a digest', () => {
  const checks = [
    ['content-md5', digest('md5')],
    [
      'x-amz-checksum-crc32',
      Buffer.from(crc32(body).toString(16).padStart(8, '0'), 'hex').toString('base64'),
    ],
    ['x-amz-checksum-sha256', digest('sha256')],
    ['x-amz-checksum-sha1', digest('sha1')],
  ] as const;

  it.each(checks)('%s that is right is taken', async (header, value) => {
    expect(await put({ [header]: value })).toMatchObject({ status: 200 });
  });

  it.each(checks)('%s of other bytes is refused and the old object kept', async (header, value) => {
    photos.put(granite, { body: Buffer.from('old') });
    const request = { method: 'PUT', path: '/photos/granite', headers: { [header]: value } };
    expect(await send(server, { ...request, body: Buffer.from('Granite and moss') })).toMatchObject(
      {
        status: 400,
        code: 'BadDigest',
      },
    );
    expect(photos.get(granite)?.body.toString()).toBe('old');
  });

  it.each([
    ['x-amz-checksum-crc32c', 'e3069283'],
    ['x-amz-checksum-crc64nvme', 'ae8b14860a799888'],
  ])('%s agrees with its check value', async (header, hex) => {
    const request = { method: 'PUT', path: '/photos/check', body: Buffer.from('123456789') };
    const headers = { [header]: Buffer.from(hex, 'hex').toString('base64') };
    expect(await send(server, { ...request, headers })).toMatchObject({ status: 200 });
    const other = { ...request, headers, body: Buffer.from('123456780') };
    expect(await send(server, other)).toMatchObject({ code: 'BadDigest' });
  });

  it.each([
    ['content-md5', 'InvalidDigest'],
    ['x-amz-checksum-crc32', 'InvalidRequest'],
  ])('%s that is none is refused', async (header, code) => {
    expect(await put({ [header]: 'rubbish' })).toMatchObject({ status: 400, code });
  });
});

describe('a body cut half-way', () => {
  const cut = async (headers: Record<string, string>, ending: 'close' | 'reset') => {
    const request = { method: 'PUT', path: '/photos/granite', headers, body };
    const socket = await sendPart(server, request, 7);
    await script.until((seen) => seen.at(-1)?.operation === 'PutObject');
    const closed = once(socket, 'close');
    socket.resume();
    if (ending === 'reset') socket.resetAndDestroy();
    else socket.end();
    await closed;
  };

  it.each(['close', 'reset'] as const)('by a %s leaves nothing', async (ending) => {
    await cut({}, ending);
    // A later request on another socket is answered after the cut one has been dealt with.
    expect(await get()).toMatchObject({ status: 404, code: 'NoSuchKey' });
  });
});

describe('an error', () => {
  it('is XML that names code, message, resource and request', async () => {
    const answer = await get({}, '/photos/not%20there');
    const text = answer.body.toString();
    expect(answer.headers['content-type']).toBe('application/xml');
    expect(text).toContain('<Code>NoSuchKey</Code>');
    expect(text).toContain('<Resource>/photos/not%20there</Resource>');
    expect(text).toContain(`<RequestId>${String(answer.headers['x-amz-request-id'])}</RequestId>`);
  });

  it('of a HEAD has no body', async () => {
    const answer = await send(server, { method: 'HEAD', path: '/photos/none' });
    expect(answer).toMatchObject({ status: 404, headers: { 'content-length': '0' } });
  });

  it.each([
    ['GET', '/photos', {}],
    ['GET', '/', {}],
    ['PUT', '/photos/granite', { acl: '' }],
    ['GET', '/photos/granite', { versionId: 'v1' }],
    ['POST', '/photos', { delete: '' }],
  ])('%s %s %j, which is not there, is a NotImplemented', async (method, path, query) => {
    const answer = await send(server, { method, path, query });
    expect(answer).toMatchObject({ status: 501, code: 'NotImplemented' });
  });
});

it('lists keys that are not text through encoding-type=url', async () => {
  photos.put('\xff\x01' as ObjectKey, { body });
  const query = { 'list-type': '2', 'encoding-type': 'url' };
  const answer = await send(server, { method: 'GET', path: '/photos', query });
  expect(answer.body.toString()).toContain('<Key>%FF%01</Key>');
});
