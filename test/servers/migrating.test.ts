/**
 * Whole migrations between two real servers: from MinIO to versitygw and the other way round. What the
 * one can hold and the other cannot is among the objects.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyFromText } from '../../src/object-key.ts';
import { type ObjectHeaders, type ReadObject, RealBucket } from './real-bucket.ts';
import { RealMigration } from './real-migration.ts';
import { type RealServer, startRealServer } from './real-server.ts';

const MIB = 1024 ** 2;

/** Both servers keep these apart from each other and from all others. */
const AWKWARD_KEYS = [
  ' space first and last ',
  '!$()*,:;=@[]^`{|}~',
  '"quotes" & \'<tags>\'',
  '%2F',
  '100%',
  '?versionId=1&b#fragment',
  'a b',
  'a+b',
  'back\\slash',
  'carriage\rreturn',
  'control\u0001\t\u007f',
  'line\nfeed',
  'trailing dot.',
  'u\u0308mlaut, decomposed',
  '\u00fcmlaut, composed',
  '\uff5e sorts before the emoji',
  '\u{1f600}/\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  `${'d'.repeat(127)}/`.repeat(8).slice(0, -1),
];

const HEADERS: ObjectHeaders = {
  CacheControl: 'max-age=60, must-revalidate',
  ContentDisposition: 'attachment; filename="a b.jpg"',
  ContentEncoding: 'gzip',
  ContentLanguage: 'de, en',
  ContentType: 'image/jpeg; charset=x',
  Expires: new Date('2065-10-21T07:28:00Z'),
  Metadata: { camera: 'M3', 'a-title': 'two  words' },
};

/** Comes in parts and goes on in parts. */
const FILM = 'headers/film.mov';

/** Objects that both servers can hold, put into the bucket; their keys, sorted by bytes. */
async function givenObjects(bucket: RealBucket): Promise<string[]> {
  const bodies = new Map(AWKWARD_KEYS.map((key) => [key, Buffer.from(`content of ${key}`)]));
  bodies.set('sizes/0', Buffer.alloc(0));
  bodies.set('sizes/1', Buffer.from('1'));
  bodies.set('sizes/16 MiB', randomBytes(16 * MIB));
  bodies.set('sizes/16 MiB and 1', randomBytes(16 * MIB + 1));
  await bucket.putAll(bodies);
  await bucket.put('headers/whole', 'content', HEADERS);
  await bucket.putInParts(FILM, randomBytes(40 * MIB), { partBytes: 8 * MIB, headers: HEADERS });
  await bucket.putInParts('parts/one', randomBytes(MIB), { partBytes: 5 * MIB });
  return sorted([...bodies.keys(), 'headers/whole', FILM, 'parts/one']);
}

const sorted = (keys: readonly string[]): string[] =>
  keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

/** XML has no place for most control characters, and versitygw no other form for a listed key. */
const asVersitygwLists = (key: string): string => key.replaceAll('\u0001', '\ufffd');

/** Lines of migrate.log must come in the order of their keys' bytes, each key once. */
function expectSorted(keys: readonly string[]): void {
  expect(keys).toEqual([...new Set(keys)].toSorted((a, b) => (a < b ? -1 : 1)));
}

let minio: RealServer;
let versitygw: RealServer;
beforeAll(async () => {
  minio = await startRealServer('minio');
  versitygw = await startRealServer('versitygw');
});
afterAll(async () => {
  await minio.stop();
  await versitygw.stop();
});

describe('from MinIO to versitygw', () => {
  it('copies every object the destination can hold, and says of each other one why not', async () => {
    const source = await RealBucket.create(minio, 'photos');
    const destination = await RealBucket.create(versitygw, 'archive');
    const copied = [...(await givenObjects(source)), 'folder/'];
    // versitygw keeps no other type of a folder.
    await source.put('folder/', '', { ContentType: 'application/x-directory' });
    for (const key of ['filled folder/', 'file/below', 'tree']) await source.put(key, 'refused');
    for (const key of ['existing/listed', 'existing/since', 'gone']) await source.put(key, 'old');
    const there = new Map<string, ReadObject>();
    const putThere = async (key: string): Promise<void> => {
      await destination.put(key, `${key} was here`, { Metadata: { by: 'a client' } });
      there.set(key, await destination.read(key));
    };
    await putThere('existing/listed');
    await putThere('file');
    await putThere('tree/leaf');
    const migration = await RealMigration.prepare(source, destination);
    await migration.listOverS3('src');
    await migration.listFromDisk('dest');
    await putThere('existing/since');
    await source.delete('gone');

    const { exitCode, stderr } = await migration.run();

    expect(stderr).toContain(
      `obj ${copied.length + 6} = ign 0 + exist 1 + skip 2 (dn 1, up 1) + fail 3 + upld ${copied.length}`,
    );
    expect(exitCode).toBe(1);
    expect(await destination.readAll(copied)).toEqual(await source.readAll(copied));
    expect(await destination.readAll([...there.keys()])).toEqual(there);
    expect(await destination.keys()).toEqual(
      sorted([...copied, ...there.keys()].map(asVersitygwLists)),
    );
    expect(await destination.openUploads()).toEqual([]);
    const log = await migration.migrateLog();
    expectSorted(log.map(({ key }) => key));
    expect(log.find(({ key }) => key === FILM)?.etag).toMatch(/^[0-9a-f]{32}-[0-9]+$/);
    expect(log).toHaveLength(copied.length + 5);
    expect(log.filter(({ outcome }) => outcome !== 'copied')).toMatchObject([
      { key: 'existing/since', outcome: 'skipped-upload' },
      { key: 'file/below', outcome: 'failed', detail: 'ObjectParentIsFile' },
      { key: 'filled folder/', outcome: 'failed', detail: 'DirectoryObjectContainsData' },
      { key: 'gone', outcome: 'skipped-download', detail: 'NoSuchKey' },
      { key: 'tree', outcome: 'failed', detail: 'ExistingObjectIsDirectory' },
    ]);
    expect(await migration.failedLog()).toMatchObject([
      { key: 'file/below', code: 'ObjectParentIsFile', status: '409' },
      { key: 'filled folder/', code: 'DirectoryObjectContainsData', status: '400' },
      { key: 'tree', code: 'ExistingObjectIsDirectory', status: '409' },
    ]);
  });
});

describe('from versitygw to MinIO', () => {
  it('copies every object the destination can hold, and says of each other one why not', async () => {
    const source = await RealBucket.create(versitygw, 'photos');
    const destination = await RealBucket.create(minio, 'archive');
    const copied = await givenObjects(source);
    await writeFile(join(source.folder, 'written below'), 'a file that S3 never saw, without ETag');
    const notUtf8 = 'not UTF-8 \xff\xfe';
    await writeFile(Buffer.from(join(source.folder, notUtf8), 'latin1'), 'refused');
    for (const key of ['existing/listed', 'existing/since', 'gone']) await source.put(key, 'old');
    await destination.put('existing/listed', 'was here');
    const migration = await RealMigration.prepare(source, destination);
    await migration.listFromDisk('src');
    await migration.listOverS3('dest', '--csv');
    await destination.put('existing/since', 'was here as well');
    await source.delete('gone');
    const before = await destination.readAll();

    const { exitCode, stderr } = await migration.run();

    expect(stderr).toContain(
      `obj ${copied.length + 5} = ign 0 + exist 1 + skip 2 (dn 1, up 1) + fail 1 + upld ${copied.length + 1}`,
    );
    expect(exitCode).toBe(1);
    const after = await destination.readAll();
    const { headers: _, ...written } = await source.read('written below');
    expect(after.get('written below')).toMatchObject(written);
    after.delete('written below');
    expect(after).toEqual(new Map([...before, ...(await source.readAll(copied))]));
    expect(await destination.openUploads()).toEqual([]);
    const log = await migration.migrateLog();
    expectSorted(log.map(({ key }) => key));
    expect(log.find(({ key }) => key === FILM)?.etag).toMatch(/^[0-9a-f]{32}-[0-9]+$/);
    expect(log).toHaveLength(copied.length + 4);
    expect(log.map(({ key }) => key)).toEqual(expect.arrayContaining(copied.map(keyFromText)));
    expect(await migration.failedLog()).toMatchObject([
      { key: notUtf8, code: 'key-not-kept', status: '0' },
    ]);
  });
});
