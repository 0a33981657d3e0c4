/**
 * An object of parts is made of the same parts at the destination, so that its ETag is the same: however
 * little the source tells of them, and without a failure where it tells too little.
 */
import { hash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../../src/object-key.ts';
import type { CopyContext } from '../../../src/transfer/copy-context.ts';
import { DEFAULT_POLICY } from '../../../src/transfer/copy-policy.ts';
import type { FaultScript, SeenRequest } from '../../support/fault-script.ts';
import { startTwoServers, type TwoServers } from '../two-servers.ts';

const MIB = 1024 ** 2;
const film = keyFromText('2019/film.mp4');
/** Shared by all tests, and never written to. */
const water = Buffer.alloc(24 * MIB, 'a film of water, running deep and long. ');
const foreign = `${'f00d'.repeat(8)}-1`;

let servers: TwoServers;
let source: FaultScript;
let destination: FaultScript;
let context: CopyContext;
beforeEach(async () => {
  servers = await startTwoServers();
  source = servers.source.script;
  destination = servers.destination.script;
  context = servers.context({ multipartThresholdBytes: 64 * MIB });
});
afterEach(async () => {
  expect(servers.destination.bucket.uploads()).toEqual([]);
  await servers.close();
});

/** Puts an object of these parts there, and gives its ETag. */
function putParts(lengths: readonly number[], key: ObjectKey = film): string {
  const { bucket } = servers.source;
  const upload = bucket.upload(bucket.createUpload(key, { headers: {}, tags: new Map() }), key);
  let from = 0;
  const parts = lengths.map((length, index) => {
    const body = water.subarray(from, from + length);
    from += length;
    const { etag } = bucket.putPart(upload, index + 1, { body, checksums: {} });
    return { number: index + 1, etag, checksums: {} };
  });
  return bucket.completeUpload(upload, parts).etag;
}

const copy = (key: ObjectKey = film) => servers.copyIn(context, key);
const arrived = () => servers.destination.bucket.get(film);
const arrivedParts = () => arrived()?.parts.map(({ bytes }) => bytes);
const asksForPart = ({ query }: SeenRequest) => query.has('partNumber');
/** Parts may be asked for side by side. */
const askedFor = () =>
  source.requests
    .filter(asksForPart)
    .map(({ query }) => Number(query.get('partNumber')))
    .toSorted((a, b) => a - b);
/** The source answers such a question as if it had not been asked. */
const passOverPartNumbers = (): void => {
  source
    .on('HEAD')
    .where(asksForPart)
    .header('content-range', undefined)
    .header('x-amz-mp-parts-count', undefined)
    .alter((answer) => ({
      ...answer,
      status: 200,
      body: servers.source.bodyOf(film) as Buffer,
    }));
};

describe('the parts of an object', () => {
  it.each<[string, number[], number[]]>([
    ['one, without a question', [20], []],
    ['two, after one question', [6 * MIB, 100], [1]],
    ['two of which the second is longer', [6 * MIB, 7 * MIB], [1, 2]],
    ['four equal ones', [5 * MIB, 5 * MIB, 5 * MIB, 5 * MIB], [1, 4]],
    ['three, the last one shorter', [6 * MIB, 6 * MIB, 1], [1, 3]],
    ['three uneven ones', [5 * MIB, 7 * MIB, 6 * MIB + 1], [1, 2, 3]],
    ['three uneven ones that could be equal', [6 * MIB, 5 * MIB, 2 * MIB], [1, 2, 3]],
  ])('are kept: %s', async (_, lengths, asked) => {
    const etag = putParts(lengths);
    expect(await copy()).toMatchObject({ kind: 'copied', etag, detail: 'etag-parts' });
    expect(arrived()?.etag).toBe(etag);
    expect(arrivedParts()).toEqual(lengths);
    expect(arrived()?.body.equals(servers.source.bodyOf(film) as Buffer)).toBe(true);
    expect(askedFor()).toEqual(asked);
  });

  it('are kept though one in the middle betrays itself only by the ETag', async () => {
    const lengths = [6 * MIB, 5 * MIB, 7 * MIB, MIB];
    const etag = putParts(lengths);
    expect(await copy()).toMatchObject({ kind: 'copied', etag, detail: 'etag-parts' });
    expect(arrivedParts()).toEqual(lengths);
    expect(servers.counters).toMatchObject({ retries: 1, downloaded: 1 });
    expect(destination.count('CompleteMultipartUpload')).toBe(1);
  });

  it('are not kept with --part-layout even', async () => {
    putParts([6 * MIB, 100]);
    context = servers.context({
      multipartThresholdBytes: 6 * MIB,
      partBytes: 5 * MIB,
      policy: { ...DEFAULT_POLICY, partLayout: 'even' },
    });
    expect(await copy()).toMatchObject({ kind: 'copied', detail: 'crc32-parts' });
    expect(arrivedParts()).toEqual([5 * MIB, MIB + 100]);
    expect(askedFor()).toEqual([]);
  });

  it('are not kept by a PUT either with --part-layout even', async () => {
    putParts([100]);
    context = servers.context({ policy: { ...DEFAULT_POLICY, partLayout: 'even' } });
    expect(await copy()).toMatchObject({ kind: 'copied', detail: 'length-only' });
    expect(destination.count('PutObject')).toBe(1);
  });

  it.each<[string, number[]]>([
    ['shorter than every store takes them', [20, 20, 5]],
    ['none, because it is empty', [0]],
  ])('are not asked for: %s', async (_, lengths) => {
    const { bucket } = servers.source;
    const body = water.subarray(
      0,
      lengths.reduce((sum, length) => sum + length),
    );
    bucket.put(film, { body, partBytes: 20 });
    expect(await copy()).toMatchObject({ kind: 'copied' });
    expect(destination.count('PutObject')).toBe(1);
    expect(askedFor()).toEqual([]);
  });

  it('of another version are not mixed in: the object is copied anew', async () => {
    putParts([6 * MIB, 6 * MIB, 100]);
    let etag = '';
    source
      .on('HEAD')
      .where(({ query }) => query.get('partNumber') === '3')
      .before(() => {
        etag = putParts([5 * MIB, 200]);
      })
      .times(1);
    expect(await copy()).toMatchObject({ kind: 'copied', detail: 'etag-parts' });
    expect(arrived()?.etag).toBe(etag);
  });

  it('are asked for in vain when clients overwrite the object each time', async () => {
    putParts([5 * MIB, 6 * MIB, 100]);
    let last = 100;
    source
      .on('HEAD')
      .where(({ query }) => query.get('partNumber') === '2')
      .before(() => void putParts([5 * MIB, 6 * MIB, ++last]));
    expect(await copy()).toMatchObject({
      kind: 'failed',
      failure: { code: 'changed', status: 412, side: 'source', attempts: 2 },
    });
    expect(destination.count('CreateMultipartUpload')).toBe(0);
  });

  it('are asked for again when the source is busy', async () => {
    const etag = putParts([6 * MIB, 7 * MIB]);
    source.on('HEAD').where(asksForPart).status(503).times(2);
    expect(await copy()).toMatchObject({ kind: 'copied', etag });
    expect(servers.counters.retries).toBe(2);
  });
});

describe('a source that does not tell the lengths of parts', () => {
  const ambiguous = [8 * MIB, 100];

  it.each<[string, () => void]>([
    ['passes over the question', passOverPartNumbers],
    ['answers 400', () => void source.on('HEAD').where(asksForPart).status(400)],
    ['answers 416', () => void source.on('HEAD').where(asksForPart).status(416)],
    ['answers 501', () => void source.on('HEAD').where(asksForPart).status(501)],
  ])('and %s is asked once for all objects, and a common length is tried', async (_, rule) => {
    const etag = putParts([5 * MIB, 5 * MIB, 5 * MIB, 5 * MIB]);
    const other = keyFromText('2020/film.mp4');
    putParts([5 * MIB, 5 * MIB, 5 * MIB, MIB], other);
    rule();
    expect(await copy()).toMatchObject({ kind: 'copied', etag, detail: 'etag-parts' });
    expect(await copy(other)).toMatchObject({ kind: 'copied', detail: 'etag-parts' });
    expect(askedFor()).toEqual([1]);
  });

  it('leaves a guess that may be wrong: the object is copied all the same', async () => {
    putParts([6 * MIB, 6 * MIB, 6 * MIB, 2 * MIB]);
    passOverPartNumbers();
    expect(await copy()).toMatchObject({ kind: 'copied', detail: 'crc32-parts' });
    expect(arrivedParts()).toEqual([5 * MIB, 5 * MIB, 5 * MIB, 5 * MIB]);
    expect(servers.counters.retries).toBe(0);
  });

  it('leaves no guess where several lengths fit, and the log says so', async () => {
    putParts(ambiguous);
    passOverPartNumbers();
    expect(await copy()).toMatchObject({ detail: 'crc32-parts (parts not kept)' });
    expect(arrivedParts()).toEqual([8 * MIB + 100]);
  });

  it('and has parts with numbers between which some are missing is not guessed at', async () => {
    const etag = putParts([6 * MIB, 7 * MIB]);
    source
      .on('HEAD')
      .where(({ query }) => query.get('partNumber') === '2')
      .status(416);
    expect(await copy()).toMatchObject({ detail: 'crc32-parts (parts not kept)' });
    expect(arrived()?.etag).not.toBe(etag);
  });

  it('and tells another number of parts than its ETag is not believed', async () => {
    putParts(ambiguous);
    source.on('HEAD').where(asksForPart).header('x-amz-mp-parts-count', '3');
    expect(await copy()).toMatchObject({ detail: 'crc32-parts (parts not kept)' });
  });
});

describe('a source whose ETag of parts is not of these parts', () => {
  const body = water.subarray(0, 100);
  const putForeign = (key: ObjectKey = film): void => {
    servers.source.bucket.put(key, { body, partBytes: 100, etag: foreign });
  };

  it('is read once more, and then not believed to be made of MD5s', async () => {
    putForeign();
    expect(await copy()).toMatchObject({ kind: 'copied', detail: 'crc32-parts' });
    expect(servers.counters.retries).toBe(1);
    expect(destination.count('CompleteMultipartUpload')).toBe(1);
    const other = keyFromText('2020/film.mp4');
    putForeign(other);
    expect(await copy(other)).toMatchObject({ kind: 'copied', detail: 'crc32-parts' });
    expect(servers.counters.retries).toBe(1);
  });

  it('fails when others were: nothing is ever at its key', async () => {
    const other = keyFromText('2020/film.mp4');
    putParts([100], other);
    await copy(other);
    putForeign();
    expect(await copy()).toMatchObject({
      kind: 'failed',
      failure: {
        code: 'wrong-etag',
        side: 'source',
        attempts: 2,
        message: expect.stringContaining(`${hash('md5', hash('md5', body, 'buffer'))}-1`),
      },
    });
    expect(destination.count('CompleteMultipartUpload', film)).toBe(0);
    expect(arrived()).toBeUndefined();
  });

  it('has sent other bytes once: the next reading is right', async () => {
    const etag = putParts([100]);
    source
      .on('GET')
      .where(({ headers }) => headers.has('range'))
      .corrupt(5)
      .times(1);
    expect(await copy()).toMatchObject({ kind: 'copied', etag, detail: 'etag-parts' });
    expect(arrived()?.body).toEqual(body);
  });
});
