/**
 * The copy of a large object: pinned ranges, parts side by side, and an upload that ends in an object
 * or in nothing. Rows S11, S12, S16 and T11 of the fault list.
 */
import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PartProof } from '../../../src/domain.ts';
import { keyFromText } from '../../../src/object-key.ts';
import type { CopyContext } from '../../../src/transfer/copy-context.ts';
import { DEFAULT_POLICY } from '../../../src/transfer/copy-policy.ts';
import { MemoryBudget } from '../../../src/transfer/memory-budget.ts';
import { MIN_PART_BYTES } from '../../../src/transfer/parts/part-plan.ts';
import { TIME_LIMITS } from '../../../src/wire/connection.ts';
import type { FaultScript, SeenRequest } from '../../support/fault-script.ts';
import { probedPolicy } from '../sound-store.ts';
import {
  failureOf,
  otherObjectAt,
  startSide,
  startTwoServers,
  type TwoServers,
} from '../two-servers.ts';

const film = keyFromText('2019/film.mp4');
/** Three parts, the last one short. Shared by all tests, and never written to. */
const long = Buffer.alloc(2 * MIN_PART_BYTES + 1000, 'a film of water, running deep and long. ');
const longEtag = hash('md5', long);
/** One part, for what does not depend on their number; copied in parts all the same. */
const short = Buffer.from('a short film of water');
const shortEtag = multipartEtag([short]);
const others = Buffer.from('what another client wrote');

function multipartEtag(parts: readonly Buffer[]): string {
  const md5s = parts.map((part) => hash('md5', part, 'buffer'));
  return `${hash('md5', Buffer.concat(md5s))}-${parts.length}`;
}

let servers: TwoServers;
let source: FaultScript;
let destination: FaultScript;
beforeEach(async () => {
  servers = await startTwoServers();
  source = servers.source.script;
  destination = servers.destination.script;
});
afterEach(async () => {
  // Whatever happened, no upload is left over.
  expect(servers.destination.bucket.uploads()).toEqual([]);
  await servers.close();
});

const arrived = () => servers.destination.bodyOf(film);
const dropUploads = (): void => {
  const { bucket } = servers.destination;
  for (const upload of bucket.uploads()) bucket.abortUpload(upload);
};
/** What the destination verifies is known from an earlier object: begin-upload.test.ts is about that. */
const copyFilm = (changes: Partial<CopyContext> = {}, partProof: PartProof = 'crc32') =>
  servers.copy(film, { learnt: { sourceEtags: 'untried', partProof }, ...changes });
const copyShort = (changes: Partial<CopyContext> = {}, partProof: PartProof = 'crc32') => {
  if (servers.source.bodyOf(film) === undefined) servers.source.bucket.put(film, { body: short });
  return copyFilm({ multipartThresholdBytes: 0, ...changes }, partProof);
};
const copied = (detail = 'crc32-parts') => ({
  kind: 'copied',
  key: film,
  bytes: short.length,
  etag: shortEtag,
  detail,
});
const failed = (failure: object) => failureOf(film, failure);
const exists = otherObjectAt(film);

describe('a large object', () => {
  it('is copied in parts of one version, each with its digest', async () => {
    servers.source.bucket.put(film, { body: long });
    const parts = [0, 1, 2].map((n) => long.subarray(n * MIN_PART_BYTES, (n + 1) * MIN_PART_BYTES));
    expect(await copyFilm()).toEqual({
      kind: 'copied',
      key: film,
      bytes: long.length,
      etag: multipartEtag(parts),
      detail: 'crc32-parts',
    });
    expect(arrived()?.equals(long)).toBe(true);
    const ranges = source.requests.filter(({ headers }) => headers.has('range'));
    expect(new Set(ranges.map(({ headers }) => headers.get('range')))).toEqual(
      new Set(['bytes=0-16777215', 'bytes=16777216-33554431', 'bytes=33554432-33555431']),
    );
    for (const { headers } of ranges) expect(headers.get('if-match')).toBe(`"${longEtag}"`);
    for (const { operation, headers } of destination.requests) {
      if (operation === 'UploadPart') expect(headers.has('x-amz-checksum-crc32')).toBe(true);
      if (operation === 'CompleteMultipartUpload') expect(headers.get('if-none-match')).toBe('*');
    }
    expect(destination.count('AbortMultipartUpload')).toBe(0);
    expect(servers.counters).toMatchObject({
      downloaded: 1,
      downloadedBytes: long.length,
      uploadedBytes: long.length,
      retries: 0,
    });
  });

  it.each([
    [MIN_PART_BYTES, 'PutObject', 0],
    [MIN_PART_BYTES + 1, 'CompleteMultipartUpload', 2],
  ] as const)('of %i bytes is written by %s', async (bytes, operation, parts) => {
    const body = long.subarray(0, bytes);
    servers.source.bucket.put(film, { body });
    expect(await copyFilm()).toMatchObject({ kind: 'copied', bytes });
    expect(arrived()?.equals(body)).toBe(true);
    expect(destination.count(operation)).toBe(1);
    expect(destination.count('UploadPart')).toBe(parts);
  });

  it('whose upload cannot be noted is not begun, and its upload aborted', async () => {
    const { uploads } = servers;
    destination.on('CreateMultipartUpload').after(() => {
      uploads.failure = new Error('the disk is full');
    });
    await expect(copyShort()).rejects.toThrow('the disk is full');
    expect(destination.count('UploadPart')).toBe(0);
    expect(uploads.notes).toEqual(['101 intended', '101 abandoned', '101 over']);
  });

  it('keeps its ETag when the source was made of the same parts', async () => {
    const stored = servers.source.bucket.put(film, { body: long, partBytes: MIN_PART_BYTES });
    expect(await copyFilm()).toMatchObject({ etag: stored.etag, detail: 'etag-parts' });
  });

  it('takes its metadata along', async () => {
    const headers = { 'content-type': 'video/mp4', expires: '0', 'x-amz-meta-place': 'Z\xfcrich' };
    servers.source.bucket.put(film, { body: short, headers });
    await copyShort();
    expect(servers.destination.bucket.get(film)?.headers).toEqual(headers);
  });

  it('that the destination has already costs no upload', async () => {
    servers.destination.bucket.put(film, { body: others });
    expect(await copyShort()).toEqual(exists);
    expect(destination.requests.map(({ operation }) => operation)).toEqual(['HeadObject']);
    expect(source.count('GetObject')).toBe(1);
  });

  it('is copied where a HEAD is denied, as AWS does to who may not list', async () => {
    destination.on('HEAD').status(403);
    expect(await copyShort()).toEqual(copied());
  });

  it('without an ETag is held to its length and time', async () => {
    source.on('GET').header('etag', undefined);
    expect(await copyShort()).toEqual(copied());
    expect(source.requests[1]?.headers.has('if-match')).toBe(false);
  });

  it('whose parts have ETags that are no MD5s is copied by their digests', async () => {
    answerForeignEtags();
    expect(await copyShort()).toMatchObject({ etag: 'r2-2', detail: 'crc32-parts' });
  });

  it('whose parts have ETags that are no MD5s is not proven by their MD5s', async () => {
    answerForeignEtags();
    expect(await copyShort({}, 'md5')).toMatchObject({ etag: 'r2-2', detail: 'length-only' });
  });

  it('is held to the ETag that the MD5s of its parts make', async () => {
    expect(await copyShort({}, 'md5')).toEqual(copied('md5-parts'));
    expect(destination.requests.some(({ headers }) => headers.has('content-md5'))).toBe(true);
  });

  it('is not proven where nothing is verified', async () => {
    expect(await copyShort({}, 'none')).toEqual(copied('length-only'));
  });

  it('is cut into parts of the length asked for', async () => {
    servers.source.bucket.put(film, { body: long.subarray(0, MIN_PART_BYTES) });
    const partBytes = 5 * 1024 ** 2;
    await copyShort({ partBytes });
    const { parts } = servers.destination.bucket.get(film) ?? {};
    expect(parts?.map(({ bytes }) => bytes)).toEqual([
      partBytes,
      partBytes,
      partBytes,
      MIN_PART_BYTES - 3 * partBytes,
    ]);
  });

  const answerForeignEtags = (): void => {
    destination.on('UploadPart').etag('0x8D');
    destination
      .on('CompleteMultipartUpload')
      .alter(() => completion('"r2-2"'))
      .after(() => dropUploads());
  };

  const completion = (etag: string) => ({
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: Buffer.from(
      `<CompleteMultipartUploadResult><ETag>${etag}</ETag></CompleteMultipartUploadResult>`,
    ),
  });
});

describe('the source', () => {
  it('breaks in one part: that part alone is read again', async () => {
    servers.source.bucket.put(film, { body: long });
    source.on('GET').skip(2).truncateAt(100).times(1);
    expect(await copyFilm()).toMatchObject({ kind: 'copied' });
    expect(arrived()?.equals(long)).toBe(true);
    expect(source.count('GetObject')).toBe(1 + 3 + 1);
    expect(destination.count('UploadPart')).toBe(3);
    expect(servers.counters.retries).toBe(1);
  });

  it('breaks in one part for ever: the object fails once, with that part’s attempts', async () => {
    source
      .on('GET')
      .where(({ headers }) => headers.has('range'))
      .truncateAt(3);
    expect(await copyShort()).toEqual(failed({ code: 'closed', attempts: 4, side: 'source' }));
    expect(source.count('GetObject')).toBe(1 + 4);
    expect(destination.count('CreateMultipartUpload')).toBe(1);
    expect(servers.counters.retries).toBe(3);
    expect(arrived()).toBeUndefined();
  });

  it('has the object overwritten meanwhile: it is copied anew, whole', async () => {
    const newer = Buffer.from('a newer film of water');
    source
      .on('GET')
      .skip(1)
      .before(() => servers.source.bucket.put(film, { body: newer }))
      .times(1);
    expect(await copyShort()).toMatchObject({ kind: 'copied', etag: multipartEtag([newer]) });
    expect(arrived()).toEqual(newer);
    expect(servers.counters.retries).toBe(1);
  });

  it('ignores If-Match: two versions are not mixed all the same', async () => {
    servers.source.bucket.put(film, { body: long });
    const newer = Buffer.alloc(long.length, 'a newer film of water, as long as the other. ');
    source
      .on('GET')
      .skip(2)
      .ignoreConditions()
      .before(() => {
        if (servers.source.bodyOf(film) === long) {
          servers.source.bucket.put(film, { body: newer });
        }
      });
    expect(await copyFilm({ partWindow: 1 })).toMatchObject({ kind: 'copied' });
    expect(arrived()?.equals(newer)).toBe(true);
    expect(servers.counters.retries).toBe(1);
  });

  it('has the object overwritten again and again: it fails as changed', async () => {
    let version = 0;
    source
      .on('GET')
      .where(({ headers }) => headers.has('range'))
      .before(() => servers.source.bucket.put(film, { body: Buffer.from(`film ${version++}`) }));
    expect(await copyShort()).toEqual(
      failed({ code: 'changed', status: 412, attempts: 2, side: 'source' }),
    );
    expect(arrived()).toBeUndefined();
  });

  it('has the object deleted meanwhile: it is skipped', async () => {
    source
      .on('GET')
      .skip(1)
      .before(() => servers.source.bucket.delete(film));
    expect(await copyShort()).toMatchObject({ kind: 'skipped-download', detail: 'NoSuchKey' });
  });
});

describe('a part', () => {
  it('is begun no more once another has failed', async () => {
    servers.source.bucket.put(film, { body: long });
    destination.on('UploadPart').status(403, { code: 'AccessDenied' });
    expect(await copyFilm({ partWindow: 1 })).toEqual(
      failed({ code: 'AccessDenied', attempts: 1, side: 'destination' }),
    );
    expect(destination.count('UploadPart')).toBe(1);
  });

  it('gets other bytes than were sent: it is sent again', async () => {
    destination.on('UploadPart').corruptUpload(2).times(2);
    expect(await copyShort()).toEqual(copied());
    expect(arrived()).toEqual(short);
  });

  it('loses its answer: it is sent again under its number', async () => {
    destination.on('UploadPart').loseAnswer().times(1);
    expect(await copyShort()).toEqual(copied());
    expect(arrived()).toEqual(short);
  });

  it.each<[PartProof, string, string]>([
    ['crc32', 'x-amz-checksum-crc32', 'wrong-checksum'],
    ['etag', 'etag', 'wrong-etag'],
  ])(
    'that is acknowledged with another %s is never made an object',
    async (proof, header, code) => {
      destination.on('UploadPart').header(header, 'AAAAAA==');
      expect(await copyShort({}, proof)).toEqual(
        failed({ code, attempts: 1, side: 'destination' }),
      );
      expect(destination.count('CompleteMultipartUpload')).toBe(0);
    },
  );

  it('finds its upload gone: the object fails', async () => {
    destination.on('UploadPart').before(dropUploads);
    expect(await copyShort()).toEqual(failed({ code: 'NoSuchUpload', status: 404 }));
  });
});

describe('the creation of the upload', () => {
  it('fails for a while', async () => {
    destination.on('CreateMultipartUpload').status(503, { code: 'SlowDown' }).times(2);
    expect(await copyShort()).toEqual(copied());
  });

  it('fails for ever', async () => {
    destination.on('CreateMultipartUpload').status(500, { code: 'InternalError' });
    expect(await copyShort()).toEqual(failed({ code: 'InternalError', attempts: 4 }));
  });

  it('finds no bucket: the run stops', async () => {
    destination.on('CreateMultipartUpload').status(404, { code: 'NoSuchBucket' });
    await expect(copyShort()).rejects.toMatchObject({ name: 'MigrateError', exitCode: 3 });
  });
});

describe('the completion', () => {
  it('finds that another client was faster: the object is skipped', async () => {
    destination
      .on('CompleteMultipartUpload')
      .before(() => servers.destination.bucket.put(film, { body: others }));
    expect(await copyShort()).toEqual(exists);
    expect(arrived()).toEqual(others);
  });

  it('succeeds and loses the answer: the object is counted as copied', async () => {
    destination.on('CompleteMultipartUpload').loseAnswer().times(1);
    expect(await copyShort()).toEqual(copied('found after a lost answer'));
    expect(servers.counters.uploadedBytes).toBe(short.length);
  });

  it('takes longer than it may: the object is looked up, and counted as copied', async () => {
    const impatient = await startSide({}, { ...TIME_LIMITS, completeMs: 200 });
    servers.source.bucket.put(film, { body: short });
    const { script } = impatient;
    script
      .on('CompleteMultipartUpload')
      .after(() => new Promise(() => {}))
      .times(1);
    expect(await copyShort({ destination: impatient.store })).toEqual(
      copied('found after a lost answer'),
    );
    await impatient.close();
  });

  it('succeeds, loses the answer, and the upload is unknown then', async () => {
    destination.on('CompleteMultipartUpload').loseAnswer().times(1);
    destination.on('CompleteMultipartUpload').status(404, { code: 'NoSuchUpload' });
    expect(await copyShort()).toEqual(copied('found after a lost answer'));
  });

  it('succeeds, and says 500 each time: the object is counted as copied', async () => {
    destination
      .on('CompleteMultipartUpload')
      .alter((answer) => ({ ...answer, status: 500, body: Buffer.alloc(0) }));
    expect(await copyShort()).toEqual(copied('found after a lost answer'));
  });

  it('does not know the upload at the first request: nothing of ours can be there', async () => {
    destination
      .on('CompleteMultipartUpload')
      .before(() => servers.destination.bucket.put(film, { body: short }))
      .status(404, { code: 'NoSuchUpload' });
    expect(await copyShort()).toEqual({ ...exists, detail: 'exists-same' });
    expect(destination.count('CompleteMultipartUpload')).toBe(1);
  });

  it.each(['UploadPart', 'CompleteMultipartUpload'] as const)(
    'of an upload that %s does not find any more is tried once more with another',
    async (operation) => {
      destination.on(operation).status(404, { code: 'NoSuchUpload' });
      expect(await copyShort()).toEqual(failed({ code: 'NoSuchUpload', status: 404, attempts: 2 }));
      destination.clear();
      destination.on(operation).status(404, { code: 'NoSuchUpload' }).times(1);
      expect(await copyShort()).toEqual(copied());
    },
  );

  it('loses the answer, and what is there is as long and of others', async () => {
    destination
      .on('CompleteMultipartUpload')
      .before(() => servers.destination.bucket.put(film, { body: Buffer.alloc(short.length) }))
      .loseAnswer()
      .times(1);
    expect(await copyShort()).toMatchObject({ kind: 'skipped-upload' });
  });

  it('fails inside a success after it has landed: the object is counted as copied', async () => {
    destination
      .on('CompleteMultipartUpload')
      .alter((answer) => ({
        ...answer,
        body: Buffer.from('<Error><Code>InternalError</Code><Message>late</Message></Error>'),
      }))
      .times(1);
    expect(await copyShort()).toEqual(copied('found after a lost answer'));
  });

  it('loses the answer, and another client’s object is there', async () => {
    destination
      .on('CompleteMultipartUpload')
      .before(() => servers.destination.bucket.put(film, { body: others }))
      .loseAnswer()
      .times(1);
    expect(await copyShort()).toEqual(exists);
  });

  it('fails inside a success, then succeeds', async () => {
    destination.on('CompleteMultipartUpload').status(200, { code: 'InternalError' }).times(2);
    expect(await copyShort()).toEqual(copied());
    expect(destination.count('UploadPart')).toBe(1);
    expect(servers.counters.retries).toBe(2);
  });

  it('fails inside a success for ever', async () => {
    destination.on('CompleteMultipartUpload').status(200, { code: 'InternalError' });
    expect(await copyShort()).toEqual(
      failed({ code: 'InternalError', status: 200, attempts: 4, side: 'destination' }),
    );
    expect(destination.count('AbortMultipartUpload')).toBe(1);
  });

  it('is in conflict: the upload is made anew', async () => {
    destination
      .on('CompleteMultipartUpload')
      .status(409, { code: 'ConditionalRequestConflict' })
      .times(1);
    expect(await copyShort()).toEqual(copied());
    expect(destination.count('CreateMultipartUpload')).toBe(2);
    expect(servers.counters.downloaded).toBe(1);
  });

  it('lands late, after the upload was made anew: the second upload is not left over', async () => {
    const completion = () => destination.on('CompleteMultipartUpload').times(1);
    completion().disconnect();
    completion().status(409, { code: 'ConditionalRequestConflict' });
    completion().before(() =>
      servers.destination.bucket.put(film, { body: short, partBytes: short.length }),
    );
    expect(await copyShort()).toEqual(copied('found after a lost answer'));
    expect(destination.count('CreateMultipartUpload')).toBe(2);
  });

  it('does not know the condition: the run stops, and the upload is aborted', async () => {
    destination.on('CompleteMultipartUpload').status(501, { code: 'NotImplemented' });
    await expect(copyShort()).rejects.toMatchObject({ name: 'MigrateError', exitCode: 3 });
  });

  const alterCompletion = (pattern: RegExp, replacement: string): void => {
    destination.on('CompleteMultipartUpload').alter((answer) => ({
      ...answer,
      body: Buffer.from(answer.body.toString().replace(pattern, replacement)),
    }));
  };

  it.each<PartProof>(['md5', 'etag'])(
    'acknowledges an ETag that is not of these parts: the object has failed, loudly (%s)',
    async (proof) => {
      alterCompletion(/[0-9a-f]{32}-1/, `${'f00d'.repeat(8)}-1`);
      expect(await copyShort({}, proof)).toEqual(failed({ code: 'wrong-etag', attempts: 1 }));
    },
  );

  it.each<PartProof>(['md5', 'etag'])(
    'acknowledges an ETag that its store makes up: the parts’ own tell that all have arrived (%s)',
    async (proof) => {
      alterCompletion(/[0-9a-f]{32}-1/, `${'f00d'.repeat(8)}-1`);
      const policy = probedPolicy({ multipartEtag: { kind: 'no', answer: 'made up' } });
      expect(await copyShort({ policy }, proof)).toMatchObject({
        kind: 'copied',
        detail: 'md5-parts',
      });
      expect(arrived()).toEqual(short);
    },
  );

  it('acknowledges a CRC32 that is not of these parts: the object has failed, loudly', async () => {
    alterCompletion(/<ChecksumCRC32>[^<]*</, '<ChecksumCRC32>AAAAAA==-1<');
    expect(await copyShort()).toEqual(failed({ code: 'wrong-checksum', attempts: 2 }));
    expect(arrived()).toBeUndefined();
  });

  it.each([
    ['has no number of parts', '<ChecksumCRC32>AAAAAA==</ChecksumCRC32>'],
    ['is not told', ''],
  ])('is not judged by a CRC32 that %s', async (_, element) => {
    alterCompletion(/<ChecksumCRC32>.*<\/ChecksumCRC32>/, element);
    expect(await copyShort()).toEqual(copied());
  });
});

describe('the abort', () => {
  beforeEach(() => {
    destination.on('UploadPart').status(403);
  });

  it('is tried again', async () => {
    destination.on('AbortMultipartUpload').status(503).times(3);
    expect(await copyShort()).toMatchObject({ kind: 'failed' });
    expect(destination.count('AbortMultipartUpload')).toBe(4);
  });

  it('that is refused for good leaves the outcome as it is', async () => {
    destination.on('AbortMultipartUpload').status(403, { code: 'AccessDenied' });
    expect(await copyShort()).toEqual(failed({ code: 'Fault', status: 403 }));
    dropUploads();
  });
});

describe('memory', () => {
  it('holds no more parts at once than there is room for', async () => {
    servers.source.bucket.put(film, { body: long });
    const budget = new MemoryBudget(2 * MIN_PART_BYTES);
    let held = 0;
    let most = 0;
    source
      .on('GET')
      .where(({ headers }) => headers.has('range'))
      .before(() => {
        held++;
        most = Math.max(most, held);
      });
    destination.on('UploadPart').after(() => held--);
    expect(await copyFilm({ budget })).toMatchObject({ kind: 'copied' });
    expect(most).toBeLessThanOrEqual(2);
    expect(budget.take(2 * MIN_PART_BYTES)).toBeUndefined();
  });

  it.each([2 * short.length, 1])('of %i bytes is given back when a part fails', async (bytes) => {
    const budget = new MemoryBudget(bytes);
    destination.on('UploadPart').status(403);
    await copyShort({ budget });
    expect(budget.take(bytes)).toBeUndefined();
  });
});

describe('a part of more than all of the memory', () => {
  const body = long.subarray(0, 1024 ** 2 + 1);
  const isPart = ({ headers }: SeenRequest): boolean => headers.has('range');
  const copyPassing = (partProof: PartProof = 'crc32') =>
    copyShort({ budget: new MemoryBudget(body.length - 1) }, partProof);
  beforeEach(() => {
    servers.source.bucket.put(film, { body });
  });

  it.each<[PartProof, string]>([
    ['crc32', 'crc32-parts'],
    ['md5', 'md5-parts'],
    ['etag', 'md5-parts'],
    ['none', 'length-only'],
  ])('is read twice and passed on with its digest (%s)', async (proof, detail) => {
    expect(await copyPassing(proof)).toMatchObject({ kind: 'copied', detail });
    expect(arrived()?.equals(body)).toBe(true);
    expect(source.requests.filter(isPart)).toHaveLength(2);
    expect(servers.counters).toMatchObject({
      downloadedBytes: body.length,
      uploadedBytes: body.length,
    });
  });

  it('is read once when the memory is enough', async () => {
    await copyShort({ budget: new MemoryBudget(body.length) });
    expect(source.requests.filter(isPart)).toHaveLength(1);
  });

  it.each([
    ['while it is hashed', 0],
    ['while it is passed on', 1],
  ])('breaks off at the source %s: it is read anew', async (_, nth) => {
    source.on('GET').where(isPart).skip(nth).truncateAt(400_000).times(1);
    expect(await copyPassing()).toMatchObject({ kind: 'copied' });
    expect(arrived()?.equals(body)).toBe(true);
    expect(servers.counters.retries).toBe(1);
  });

  it('breaks off at the destination: it is read anew', async () => {
    destination.on('UploadPart').disconnectAfterReading(400_000).times(1);
    expect(await copyPassing()).toMatchObject({ kind: 'copied' });
    expect(arrived()?.equals(body)).toBe(true);
    expect(servers.counters.retries).toBe(1);
  });

  it('gets other bytes than were hashed: it is read anew', async () => {
    source.on('GET').where(isPart).skip(1).corrupt().times(1);
    expect(await copyPassing()).toMatchObject({ kind: 'copied' });
    expect(arrived()?.equals(body)).toBe(true);
  });

  it('is of another version at the second reading: the object is copied anew', async () => {
    const newer = Buffer.alloc(body.length, 'a newer film of water. ');
    source
      .on('GET')
      .where(isPart)
      .skip(1)
      .before(() => servers.source.bucket.put(film, { body: newer }))
      .times(1);
    expect(await copyPassing()).toMatchObject({ kind: 'copied' });
    expect(arrived()?.equals(newer)).toBe(true);
  });
});

it('with --if-exists head what came during the upload is not overwritten, condition or not', async () => {
  destination.on('CompleteMultipartUpload').ignoreConditions();
  destination.on('UploadPart').before(() => servers.destination.bucket.put(film, { body: others }));
  const policy = { ...DEFAULT_POLICY, ifExists: 'head' as const };
  expect(await copyShort({ policy })).toMatchObject({
    kind: 'skipped-upload',
    detail: 'exists-differs',
  });
  expect(arrived()).toEqual(others);
  expect(destination.count('CompleteMultipartUpload')).toBe(0);
});
