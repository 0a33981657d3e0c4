/**
 * Large objects that were uploaded in parts, so that their ETag is no MD5: copied in parts, of one version
 * of the source's object, and within bounded memory.
 */
import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { digestsOf, type Migration, prepareMigration } from './migration.ts';

const MIB = 1024 ** 2;
const PART_BYTES = 16 * MIB;

/** Bytes of which no two parts are equal. */
function largeBody(bytes: number): Buffer {
  const body = Buffer.alloc(bytes, 'content');
  for (let at = 0; at < bytes; at += MIB) body[at] = at / MIB;
  return body;
}

const NEWER = 'a newer one';
const IN_PARTS = { partBytes: PART_BYTES };

describe('a large object', () => {
  it('is read in ranges of one version, and its upload is completed only where nothing is', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const headers = { 'content-type': 'video/mp4', 'x-amz-meta-reel': '7' };
    source.put('films/long', largeBody(40 * MIB), { headers, ...IN_PARTS });
    source.put('films/short', largeBody(PART_BYTES), { headers });
    await migration.listKeys();
    const version = `"${source.bucket.get('films/long' as ObjectKey)?.etag}"`;

    expect(await migration.run({ cores: 1 })).toMatchObject({ exitCode: 0 });

    const reads = source.script.requests.filter(({ headers }) => headers.has('range'));
    expect(reads.map(({ headers }) => headers.get('range'))).toEqual([
      `bytes=0-${PART_BYTES - 1}`,
      `bytes=${PART_BYTES}-${2 * PART_BYTES - 1}`,
      `bytes=${2 * PART_BYTES}-${40 * MIB - 1}`,
    ]);
    expect(new Set(reads.map(({ headers }) => headers.get('if-match')))).toEqual(
      new Set([version]),
    );
    const { script, bucket } = destination;
    const digests = partsIn(migration).map(({ headers }) => headers.get('x-amz-checksum-crc32'));
    expect(digests.filter(Boolean)).toHaveLength(3);
    const completed = script.requests.find(
      ({ operation }) => operation === 'CompleteMultipartUpload',
    );
    expect(completed?.headers.get('if-none-match')).toBe('*');
    expect(bucket.uploads()).toEqual([]);
    expect(digestsOf(destination)).toEqual(digestsOf(source));
    for (const key of bucket.keys()) expect(bucket.get(key)?.headers).toEqual(headers);
    const [long = '', short = ''] = await migration.migrateLog();
    expect(long).toMatch(/^films\/long,copied,41943040,[0-9a-f]{32}-3,etag-parts$/);
    expect(short).toMatch(/^films\/short,copied,16777216,[0-9a-f]{32},md5$/);
  });

  it('that the destination has is not read to its end, nor uploaded', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('films/long', largeBody(40 * MIB), IN_PARTS);
    destination.put('films/long', NEWER);
    await migration.listKeys();

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(0);
    expect(stderr).toContain('skip 1 (dn 0, up 1)');
    expect(destination.script.count('UploadPart')).toBe(0);
    expect(destination.script.count('CreateMultipartUpload')).toBe(0);
    expect(digestsOf(destination)).toEqual({ 'films/long': hash('sha256', NEWER) });
  });

  it('that came to be there meanwhile is not replaced, and the upload is aborted', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('films/long', largeBody(20 * MIB), IN_PARTS);
    await migration.listKeys();
    destination.script
      .on('CompleteMultipartUpload')
      .before(() => destination.put('films/long', NEWER));

    expect(await migration.run()).toMatchObject({ exitCode: 0 });

    expect(digestsOf(destination)).toEqual({ 'films/long': hash('sha256', NEWER) });
    expect(destination.bucket.uploads()).toEqual([]);
    expect(await migration.migrateLog()).toEqual(['films/long,skipped-upload,,,exists-differs']);
  });

  it('that fails leaves no upload behind', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('films/long', largeBody(40 * MIB), IN_PARTS);
    await migration.listKeys();
    destination.script.on('UploadPart').skip(1).status(403, { code: 'AccessDenied' });

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(1);
    expect(stderr).toContain('1 AccessDenied (destination)');
    expect(destination.bucket.uploads()).toEqual([]);
    expect(destination.bucket.keys()).toEqual([]);
  });

  it('that changes while it is read is copied as it is then, never as a mixture', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('films/long', largeBody(40 * MIB), IN_PARTS);
    await migration.listKeys();
    const newer = Buffer.alloc(34 * MIB, 'new');
    source.script
      .on('GetObject')
      .where(({ headers }) => headers.get('range')?.startsWith(`bytes=${PART_BYTES}-`) === true)
      .before(() => source.put('films/long', newer, IN_PARTS))
      .times(1);

    expect(await migration.run({ threads: 1 })).toMatchObject({ exitCode: 0 });

    expect(digestsOf(destination)).toEqual({ 'films/long': hash('sha256', newer) });
    expect(destination.bucket.uploads()).toEqual([]);
  });
});

it('--multipart-threshold: a longer object goes in parts even where its ETag is an MD5', async () => {
  const migration = await prepareMigration();
  const { source, destination } = migration;
  source.put('films/long', largeBody(PART_BYTES + 1));
  source.put('films/short', largeBody(PART_BYTES));
  await migration.listKeys();

  expect(await migration.run({ 'multipart-threshold': '16MiB' })).toMatchObject({ exitCode: 0 });

  expect(partsIn(migration)).toHaveLength(2);
  expect(destination.script.count('PutObject', 'films/short')).toBe(1);
  expect(digestsOf(destination)).toEqual(digestsOf(source));
});

it('--part-size: parts are as long as they are asked to be', async () => {
  const migration = await prepareMigration();
  const { source, destination } = migration;
  source.put('films/long', largeBody(17 * MIB), IN_PARTS);
  await migration.listKeys();

  const flags = { 'part-size': '6MiB', 'part-layout': 'even' };
  expect(await migration.run(flags)).toMatchObject({ exitCode: 0 });

  const lengths = partsIn(migration).map(({ headers }) => Number(headers.get('content-length')));
  expect(lengths.toSorted((a, b) => b - a)).toEqual([6 * MIB, 6 * MIB, 5 * MIB]);
  expect(digestsOf(destination)).toEqual(digestsOf(source));
});

describe('small objects', () => {
  it('keep moving while large ones before them take their time', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    for (const reel of [1, 2, 3, 4]) source.put(`a/${reel}`, largeBody(36 * MIB), IN_PARTS);
    const photos = await migration.givenPhotos(200);
    await migration.listKeys();
    // No part is done before the last photo is there.
    destination.script
      .on('UploadPart')
      .where(({ headers }) => Number(headers.get('content-length')) >= MIB)
      .before(() => destination.script.seen('PutObject', photos.length));

    expect(await migration.run({ threads: 4, cores: 1 })).toMatchObject({ exitCode: 0 });

    expect(digestsOf(destination)).toEqual(digestsOf(source));
  });
});

describe('a destination that verifies no digest of a part', () => {
  it('is warned of, and its large objects are said to be known by their length only', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('films/1', largeBody(17 * MIB), IN_PARTS);
    source.put('films/2', largeBody(17 * MIB), IN_PARTS);
    await migration.listKeys();
    destination.script.on('CreateMultipartUpload').ignoreHeaders('x-amz-checksum-algorithm');
    destination.script
      .on('UploadPart')
      .where(({ headers }) => Number(headers.get('content-length')) < 1024)
      .ignoreHeaders('x-amz-checksum-crc32', 'content-md5')
      .etag('0x8D');

    const flags = { cores: 2, 'part-layout': 'even', 'part-size': '6MiB' };
    const { exitCode, stderr } = await migration.run(flags);

    expect(exitCode).toBe(0);
    expect(stderr.split('verifies neither the CRC32 nor the MD5')).toHaveLength(2);
    for (const line of await migration.migrateLog()) expect(line).toMatch(/,length-only$/);
    expect(digestsOf(destination)).toEqual(digestsOf(source));
  });
});

describe('--memory', () => {
  it('bounds the content held at once, of all objects and threads together', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const body = largeBody(36 * MIB);
    for (const reel of [1, 2, 3]) source.put(`films/${reel}`, body, IN_PARTS);
    await migration.listKeys();
    let heldBytes = 0;
    let mostBytes = 0;
    // From the moment a range is asked for until the destination has taken it.
    const asked = (bytes: number): void => {
      heldBytes += bytes;
      mostBytes = Math.max(mostBytes, heldBytes);
    };
    source.script
      .on('GetObject')
      .where(({ headers }) => headers.has('range'))
      .before(({ request }) => asked(lengthOf(request.headers.get('range'))));
    destination.script
      .on('UploadPart')
      .where(({ headers }) => Number(headers.get('content-length')) >= MIB)
      .after(({ request }) => {
        heldBytes -= Number(request.headers.get('content-length'));
      });

    expect(await migration.run({ memory: '32MiB', threads: 16 })).toMatchObject({ exitCode: 0 });

    expect(mostBytes).toBe(2 * PART_BYTES);
    expect(digestsOf(destination)).toEqual(digestsOf(source));
  });
});

/** The parts of objects: what is sent to find out whether digests are verified is refused. */
function partsIn({ destination }: Migration) {
  return destination.script.requests.filter(
    ({ operation, status }) => operation === 'UploadPart' && status === 200,
  );
}

function lengthOf(range: string | undefined): number {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  return Number(last) - Number(first) + 1;
}
