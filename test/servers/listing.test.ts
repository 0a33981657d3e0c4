/**
 * List files made of real servers' buckets: over S3, and of versitygw from its disk too.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RealBucket } from './real-bucket.ts';
import { RealMigration, type SideFlag } from './real-migration.ts';
import { type RealServer, SERVER_KINDS, startRealServer } from './real-server.ts';

/** More than one answer of ListObjectsV2, in folders whose names sort about the slash. */
const ORDINARY_KEYS = Array.from(
  { length: 1_500 },
  (_, index) => `a${['', '-b', '.b', '0'][index % 4]}/${index % 10}/${index}.jpg`,
);
const AWKWARD_KEYS = [
  ' space first and last ',
  '"quotes", & \'<tags>\'',
  '%2F',
  'a+b c',
  'tab\tand\\backslash',
  'u\u0308mlaut and \u00fcmlaut',
  '\uff5e sorts before the emoji',
  '\u{1f600}',
];
const KEYS = [...ORDINARY_KEYS, ...AWKWARD_KEYS].toSorted((a, b) =>
  Buffer.compare(Buffer.from(a), Buffer.from(b)),
);
const contentOf = (key: string): Buffer => Buffer.from(`content of ${key}`);

/** All that the list files of one side say, one after another. */
async function listed(migration: RealMigration, side: SideFlag): Promise<string> {
  const folder = migration.listFolder(side);
  const names = (await readdir(folder)).toSorted();
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  return texts.join('');
}

describe.each(SERVER_KINDS)('of a bucket of %s', (kind) => {
  let server: RealServer;
  let bucket: RealBucket;
  beforeAll(async () => {
    server = await startRealServer(kind);
    bucket = await RealBucket.create(server, 'photos');
    await bucket.putAll(new Map(KEYS.map((key) => [key, contentOf(key)])));
  });
  afterAll(() => server.stop());

  it('s3migrate list names every key once, in byte order', async () => {
    const migration = await RealMigration.prepare(bucket, bucket);
    await migration.listOverS3('src');
    expect(await listed(migration, 'src')).toBe(KEYS.map((key) => `${key}\n`).join(''));
  });

  it('s3migrate list names the keys that begin with a prefix', async () => {
    const migration = await RealMigration.prepare(bucket, bucket);
    await migration.listOverS3('src', '--prefix', 'a.b/7/');
    const below = KEYS.filter((key) => key.startsWith('a.b/7/'));
    expect(await listed(migration, 'src')).toBe(below.map((key) => `${key}\n`).join(''));
  });

  it('s3migrate list tells size and ETag with --csv', async () => {
    const migration = await RealMigration.prepare(bucket, bucket);
    await migration.listOverS3('src', '--csv');
    const csv = await listed(migration, 'src');
    expect(csv).toMatch(/^key,size,etag,last_modified\n/);
    for (const key of ORDINARY_KEYS) {
      const body = contentOf(key);
      const md5 = createHash('md5').update(body).digest('hex');
      expect(csv).toContain(`\n${key},${body.length},${md5},20`);
    }
  });

  // What MinIO keeps on the disk are no files of its objects.
  if (kind === 'versitygw') {
    it('s3find names the same keys from the disk', async () => {
      const migration = await RealMigration.prepare(bucket, bucket);
      await migration.listFromDisk('src');
      expect(await listed(migration, 'src')).toBe(KEYS.map((key) => `${key}\n`).join(''));
    });
  }
});
