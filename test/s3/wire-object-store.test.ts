/**
 * WireObjectStore keeps the contract of ObjectStore over the embedded server, and says rightly what
 * went wrong when that does not answer as S3 does.
 */
import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import type { StoreErrorKind } from '../../src/s3/object-store.ts';
import type { Addressing, WireObjectStore } from '../../src/s3/wire-object-store.ts';
import type { Answer } from '../../src/s3-server/answer.ts';
import type { S3Server, S3ServerOptions } from '../../src/s3-server/server.ts';
import { TIME_LIMITS } from '../../src/wire/connection.ts';
import { type FaultScript, faults } from '../support/fault-script.ts';
import { objectStoreContract } from '../support/object-store-contract.ts';
import { startServer, storeOn, TLS } from './embedded.ts';

describe.each<[string, Addressing, Partial<S3ServerOptions>]>([
  ['with the bucket in the path', 'path', {}],
  ['with the bucket in the host name', 'virtual', { virtualHostDomain: '127.0.0.1' }],
  ['over TLS', 'path', { tls: TLS }],
])('the contract %s', (_, addressing, options) => {
  objectStoreContract({
    open: async () => {
      const server = await startServer(options);
      return {
        store: storeOn(server, { addressing }),
        missingBucket: storeOn(server, { addressing, bucket: 'missing' }),
        wrongSecret: storeOn(server, { addressing, secret: 'wrong' }),
        close: () => server.close(),
      };
    },
  });
});

const key = keyFromText('lake.jpg');
const body = Buffer.from('still water');
const md5 = hash('md5', body, 'base64');
const digest = { algorithm: 'md5', base64: md5 } as const;

let server: S3Server;
let script: FaultScript;
let store: WireObjectStore;
beforeEach(async () => {
  server = await startServer();
  script = faults(server);
  store = storeOn(server);
});
afterEach(async () => {
  store.close();
  await server.close();
});

const get = () => store.get(key, { receive: ({ bytes }) => Buffer.alloc(bytes) });
const put = () => store.putNew(key, { body, metadata: [], digest });
const lake = () => server.bucket('photos').put(key, { body });

it('names the store by its URL', () => {
  expect(store.name).toBe(`${server.url}/photos`);
});

describe('an answer that cannot be trusted is refused:', () => {
  beforeEach(lake);

  it.each(['chunked', 'until-close'] as const)('content without a length (%s)', async (framing) => {
    script.on('GET').withoutLength(framing);
    await expect(get()).rejects.toMatchObject({ kind: 'not-s3', code: 'no-length' });
  });

  it('an HTML page in place of an object', async () => {
    script.on('GET').alter(htmlPage);
    await expect(get()).rejects.toMatchObject({ kind: 'not-s3', code: 'no-etag', status: 200 });
  });

  it('an HTML page in place of an error', async () => {
    script.on('GET').alter((answer) => ({ ...htmlPage(answer), status: 404 }));
    script.on('HEAD').alter((answer) => ({ ...htmlPage(answer), status: 404 }));
    await expect(get()).rejects.toMatchObject({ kind: 'not-s3', status: 404 });
    await expect(store.head(key)).rejects.toMatchObject({ kind: 'not-s3', status: 404 });
  });

  it('an HTML page in place of a bucket', async () => {
    script.on('HEAD').alter(htmlPage);
    await expect(store.headBucket()).rejects.toMatchObject({ kind: 'not-s3', status: 200 });
  });

  it('the whole object where a range was asked for', async () => {
    script.on('GET').alter((answer) => {
      const { 'content-range': _, ...headers } = answer.headers;
      return { ...answer, status: 200, headers };
    });
    const reading = store.get(key, {
      range: { first: 0, last: 4 },
      receive: () => Buffer.alloc(5),
    });
    await expect(reading).rejects.toMatchObject({ kind: 'not-s3', code: 'wrong-range' });
  });

  it('another range than the one asked for', async () => {
    script.on('GET').header('content-range', 'bytes 1-5/11');
    const reading = store.get(key, {
      range: { first: 0, last: 4 },
      receive: () => Buffer.alloc(5),
    });
    await expect(reading).rejects.toMatchObject({ kind: 'not-s3', code: 'wrong-range' });
  });

  it.each(['PutObject', 'UploadPart'] as const)('%s without an ETag', async (operation) => {
    script.on(operation).header('etag', undefined);
    const other = keyFromText('other.jpg');
    const uploadId = await store.createMultipartUpload(other, []);
    const writing =
      operation === 'PutObject'
        ? store.putNew(other, { body, metadata: [], digest })
        : store.uploadPart(other, { uploadId, partNumber: 1, body, digest });
    await expect(writing).rejects.toMatchObject({ kind: 'not-s3', mayHaveLanded: true });
  });

  it('an upload without an id', async () => {
    script.on('CreateMultipartUpload').shorten(0);
    const creating = store.createMultipartUpload(key, []);
    await expect(creating).rejects.toMatchObject({ kind: 'not-s3', code: 'no-upload-id' });
  });

  it('an error inside a success', async () => {
    script.on('CompleteMultipartUpload').status(200, { code: 'InternalError', message: 'oh' });
    const completing = store.completeNew(key, { uploadId: 'u', parts: [] });
    await expect(completing).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'InternalError',
      message: 'oh',
      mayHaveLanded: true,
    });
  });
});

function htmlPage(answer: Answer): Answer {
  const page = Buffer.from('<!DOCTYPE html><title>Please log in</title>');
  return { ...answer, status: 200, headers: { 'content-type': 'text/html' }, body: page };
}

// A file that was not written by S3 but below it has none in versitygw 1.8.0.
it('reads an object that has no ETag, and says so', async () => {
  lake();
  script.on('GET').header('etag', undefined);
  script.on('HEAD').header('etag', undefined);
  const { object, body: content } = await get();
  expect(object).toMatchObject({ bytes: 11, etag: '', etagMayBeMd5: false });
  expect(content).toEqual(body);
  expect(await store.head(key)).toMatchObject({ etag: '', etagMayBeMd5: false });
});

describe('an ETag is not taken for an MD5', () => {
  it.each([
    ['of parts', 'etag', `"${hash('md5', body)}-1"`],
    ['with KMS encryption', 'x-amz-server-side-encryption', 'aws:kms'],
    ['with a customer key', 'x-amz-server-side-encryption-customer-algorithm', 'AES256'],
    ['in another form', 'etag', '"0x8D9F"'],
  ])('%s', async (_, header, value) => {
    lake();
    script.on('GET').header(header, value);
    expect((await get()).object.etagMayBeMd5).toBe(false);
  });

  it('unless the store encrypts with its own key, which does not change it', async () => {
    lake();
    script.on('GET').header('x-amz-server-side-encryption', 'AES256');
    expect((await get()).object.etagMayBeMd5).toBe(true);
  });
});

it.each<[number, string, StoreErrorKind, boolean]>([
  [301, 'PermanentRedirect', 'redirected', false],
  [307, 'TemporaryRedirect', 'redirected', false],
  [304, 'NotModified', 'not-implemented', false],
  [400, 'BadDigest', 'bad-digest', false],
  [400, 'XAmzContentChecksumMismatch', 'bad-digest', false],
  [400, 'RequestTimeout', 'network', false],
  [400, 'EntityTooLarge', 'refused', false],
  [400, 'KeyTooLongError', 'refused', false],
  [400, 'MetadataTooLarge', 'refused', false],
  [400, 'AuthorizationHeaderMalformed', 'redirected', false],
  [401, 'Unauthorized', 'denied', false],
  [403, 'AccessDenied', 'denied', false],
  [403, 'InvalidObjectState', 'denied', false],
  [404, 'NoSuchKey', 'not-found', false],
  [404, 'NoSuchBucket', 'no-such-bucket', false],
  [404, 'NoSuchUpload', 'no-such-upload', false],
  [409, 'ConditionalRequestConflict', 'conflict', false],
  [409, 'ObjectParentIsFile', 'refused', false],
  [412, 'PreconditionFailed', 'precondition-failed', false],
  [408, 'Late', 'network', true],
  [413, 'Long', 'refused', false],
  [425, 'Early', 'network', true],
  [429, 'TooManyRequests', 'throttled', false],
  [400, 'ThrottlingException', 'throttled', false],
  [499, 'ClientDisconnected', 'network', true],
  [200, 'PreconditionFailed', 'precondition-failed', true],
  [200, 'AccessDenied', 'denied', true],
  [200, 'InternalError', 'unavailable', true],
  [200, 'Whatever', 'refused', true],
  [500, 'InternalError', 'unavailable', true],
  [501, 'NotImplemented', 'not-implemented', true],
  [502, 'Bad', 'unavailable', true],
  [503, 'SlowDown', 'throttled', true],
  [503, 'ServiceUnavailable', 'throttled', true],
  [507, 'InsufficientStorage', 'full', true],
  [507, 'XMinioStorageFull', 'full', true],
  [403, 'QuotaExceeded', 'full', false],
  [400, 'XMinioAdminBucketQuotaExceeded', 'full', false],
  [400, 'ExpiredToken', 'denied', false],
])('takes status %i %s for %s', async (status, code, kind, mayHaveLanded) => {
  script.on('PUT').status(status, { code, message: 'So it is' });
  const message = status === 304 ? 'status 304' : 'So it is';
  await expect(put()).rejects.toMatchObject({ kind, status, mayHaveLanded, message });
});

it.each([
  ['7', 7000],
  ['0', 0],
  ['1000000000', 1e12],
  ['soon', undefined],
  ['Mon, 02 Jan 2006 15:04:05 GMT', 0],
])('reads Retry-After %s', async (retryAfter, retryAfterMs) => {
  script.on('PUT').status(503, { retryAfter });
  await expect(put()).rejects.toMatchObject({ retryAfterMs });
});

it('reads a date in Retry-After by the clock of the server that tells it', async () => {
  script
    .on('PUT')
    .header('date', 'Mon, 02 Jan 2006 15:04:00 GMT')
    .status(503, { retryAfter: 'Mon, 02 Jan 2006 15:04:05 GMT' });
  await expect(put()).rejects.toMatchObject({ retryAfterMs: 5000 });
});

it('does not follow a redirect', async () => {
  const elsewhere = await startServer();
  const seenThere = faults(elsewhere);
  script.on('GET').status(307, { code: 'TemporaryRedirect' }).header('location', elsewhere.url);
  await expect(get()).rejects.toMatchObject({ kind: 'redirected' });
  expect(seenThere.requests).toEqual([]);
  await elsewhere.close();
});

describe('a connection that breaks', () => {
  it('in the middle of the content is told as such', async () => {
    lake();
    script.on('GET').truncateAt(5);
    await expect(get()).rejects.toMatchObject({ kind: 'network', code: 'closed', status: 0 });
  });

  it('before the answer may have been after the write', async () => {
    script.on('PUT').loseAnswer();
    await expect(put()).rejects.toMatchObject({ kind: 'network', mayHaveLanded: true });
    expect(server.bucket('photos').get(key)?.body).toEqual(body);
  });

  it('that cannot be made is unreachable, and nothing has landed', async () => {
    await server.close();
    await expect(put()).rejects.toMatchObject({ kind: 'unreachable', mayHaveLanded: false });
    server = await startServer();
  });

  it('leaves no truncated object, even at a store that keeps such', async () => {
    script.keepTruncated();
    const large = Buffer.alloc(64 * 1024 ** 2);
    const arriving = new Promise<void>((resolve) => {
      script.on('PUT').before(({ incoming }) => incoming.once('data', () => resolve()));
    });
    const writing = store.putNew(key, {
      body: large,
      metadata: [],
      digest: { algorithm: 'md5', base64: hash('md5', large, 'base64') },
    });
    await arriving;
    store.close();
    await expect(writing).rejects.toMatchObject({ kind: 'network' });
    store = storeOn(server);
    await expect(store.head(key)).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('listings of uploads', () => {
  const beginUpload = (of = key): string =>
    server.bucket('photos').createUpload(of, { headers: {}, tags: new Map() });

  it('are read page by page', async () => {
    const bucket = server.bucket('photos');
    const upload = bucket.upload(beginUpload(), key);
    for (let number = 1; number <= 2_001; number++) {
      bucket.putPart(upload, number, { body: Buffer.from(String(number)), checksums: {} });
    }
    const parts = await store.listParts(key, upload.uploadId);
    expect(parts.map(({ partNumber }) => partNumber)).toEqual(
      Array.from({ length: 2_001 }, (_, index) => index + 1),
    );
    expect(script.count('ListParts')).toBe(3);
    const ids = [upload.uploadId];
    while (ids.length < 201) ids.push(beginUpload());
    const { uploads } = await store.listUploads(key);
    expect(uploads.map(({ uploadId }) => uploadId)).toEqual(ids);
    expect(script.count('ListMultipartUploads')).toBe(3);
  });

  it('end where other keys begin, however many of them there are', async () => {
    const uploadId = beginUpload();
    for (let others = 0; others < 250; others++) beginUpload(keyFromText(`${key}/${others}`));
    expect((await store.listUploads(key)).uploads).toMatchObject([{ uploadId }]);
    expect(script.count('ListMultipartUploads')).toBe(1);
  });

  const pages: Readonly<Record<string, string>> = {
    'of something else': '<ListBucketResult></ListBucketResult>',
    'with an entry that says nothing':
      '<ListPartsResult><Part><PartNumber>1</PartNumber></Part></ListPartsResult>' +
      '<ListMultipartUploadsResult><Upload><Key>lake.jpg</Key></Upload></ListMultipartUploadsResult>',
    'cut without a marker':
      '<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>' +
      '<ListMultipartUploadsResult><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>',
    'that goes round in circles':
      '<ListPartsResult><NextPartNumberMarker>1</NextPartNumberMarker><IsTruncated>true</IsTruncated></ListPartsResult>' +
      '<ListMultipartUploadsResult><NextKeyMarker>lake.jpg</NextKeyMarker><IsTruncated>true</IsTruncated></ListMultipartUploadsResult>',
    'longer than any page': `<ListPartsResult><ListMultipartUploadsResult>${' '.repeat(3 * 1024 ** 2)}`,
  };
  it.each(Object.keys(pages))('are refused with a page %s', async (page) => {
    const uploadId = beginUpload();
    const answer = Buffer.from(pages[page] as string);
    for (const operation of ['ListParts', 'ListMultipartUploads'] as const) {
      script.on(operation).alter((whole) => ({ ...whole, body: answer }));
    }
    for (const listing of [store.listParts(key, uploadId), store.listUploads(key)]) {
      await expect(listing).rejects.toMatchObject({ kind: 'not-s3' });
    }
  });

  it('take "no such key" for "no such upload"', async () => {
    script.on('ListParts').status(404, { code: 'NoSuchKey' });
    await expect(store.listParts(key, 'gone')).rejects.toMatchObject({ kind: 'no-such-upload' });
  });
});

it('sends every write with its digest and the condition', async () => {
  await put();
  const other = keyFromText('parts');
  const uploadId = await store.createMultipartUpload(other, []);
  const parts = [await store.uploadPart(other, { uploadId, partNumber: 1, body, digest })];
  await store.completeNew(other, { uploadId, parts });
  const [whole, , part, complete] = script.requests.map(({ headers }) => headers);
  expect(whole?.get('if-none-match')).toBe('*');
  expect(whole?.get('content-md5')).toBe(md5);
  expect(part?.get('content-md5')).toBe(md5);
  expect(complete?.get('if-none-match')).toBe('*');
  expect(complete?.get('x-amz-content-sha256')).toMatch(/^[0-9a-f]{64}$/);
});

it('corrects its clock from the answer of the server', async () => {
  const ahead = await startServer({ now: () => Date.now() + 3_600_000 });
  faults(ahead)
    .on('HEAD')
    .alter((answer) => ({
      ...answer,
      headers: { ...answer.headers, date: new Date(Date.now() + 3_600_000).toUTCString() },
    }));
  const skewed = storeOn(ahead);
  await skewed.headBucket();
  skewed.close();
  await ahead.close();
});

it('waits for a completion that the store fills with blanks, as S3 does', async () => {
  const limits = { ...TIME_LIMITS, idleMs: 1, throughputMinBytes: 1 << 20, throughputWindowMs: 1 };
  const patient = storeOn(server, { limits });
  const uploadId = await store.createMultipartUpload(key, []);
  const parts = [await store.uploadPart(key, { uploadId, partNumber: 1, body, digest })];
  script
    .on('CompleteMultipartUpload')
    .trickle({ bytes: 30, everyMs: 150 })
    .alter((answer) => ({ ...answer, body: Buffer.concat([Buffer.alloc(300, ' '), answer.body]) }));
  expect(await patient.completeNew(key, { uploadId, parts })).toMatchObject({
    etag: expect.stringMatching(/-1$/),
  });
  patient.close();
});
