/**
 * All that belongs to an object, through the whole program: headers, tags, redirect, storage class and lock
 * arrive, or their loss is in migrate.log, in the summary, or the reason why an object failed.
 */
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { type Migration, prepareMigration, utf8 } from './migration.ts';

const MIB = 1024 ** 2;

const HEADERS = {
  'content-type': 'text/html; charset="x"',
  'cache-control': 'max-age=60',
  'content-disposition': 'attachment; filename="a b.jpg"',
  'content-encoding': 'zstd, custom',
  'content-language': 'de, en',
  expires: '0',
  'x-amz-website-redirect-location': 'https://example.org/?a=b',
  'x-amz-meta-utf8': utf8('Zürich  twice'),
  'x-amz-meta-latin1': 'Z\xfcrich',
  'x-amz-meta-word': '=?UTF-8?B?WsO8cmljaA==?=',
};
const LOCK = {
  'x-amz-object-lock-mode': 'COMPLIANCE',
  'x-amz-object-lock-retain-until-date': '2065-10-21T07:28:00.000Z',
  'x-amz-object-lock-legal-hold': 'ON',
};
const TAGS = new Map([
  ['stage', 'raw'],
  ['Größe', 'a/b = c & d'],
]);

/** One object for each way to travel. */
const SIZES = { collected: 100, 'passed through': MIB, 'in parts': 17 * MIB };
const KEYS = ['collected', 'in parts', 'passed through'] as const;

async function given(
  headers: Readonly<Record<string, string>>,
  { tags = new Map<string, string>(), objectLock = true } = {},
): Promise<Migration> {
  const migration = await prepareMigration({ destination: { objectLock } });
  for (const [key, bytes] of Object.entries(SIZES)) {
    migration.source.put(key, Buffer.alloc(bytes, key), { headers, tags });
  }
  await migration.listKeys();
  return migration;
}

const IN_PARTS = { 'multipart-threshold': '16MiB', 'part-size': '5MiB' };

const arrived = ({ destination }: Migration) =>
  KEYS.map((key) => destination.bucket.get(key as ObjectKey));

/** The detail of each line of migrate.log. */
async function details(migration: Migration): Promise<string[]> {
  return (await migration.migrateLog()).map((line) => line.slice(line.lastIndexOf(',') + 1));
}

describe.each([1, 2])('with --cores %i', (cores) => {
  it('everything arrives, and nothing is said', async () => {
    const everything = { ...HEADERS, ...LOCK, 'x-amz-storage-class': 'STANDARD_IA' };
    const migration = await given(everything, { tags: TAGS });
    const flags = { cores, 'object-lock': true, 'storage-class': 'keep', ...IN_PARTS } as const;

    const { exitCode, stderr } = await migration.run(flags);

    expect(exitCode).toBe(0);
    expect(stderr).not.toContain('LOST');
    for (const object of arrived(migration)) {
      expect(object?.headers).toEqual(everything);
      expect(object?.tags).toEqual(TAGS);
    }
    for (const detail of await details(migration)) expect(detail).not.toContain('lost');
    expect(migration.source.script.count('GetObjectTagging')).toBe(KEYS.length);
  });

  it('what cannot be kept is in the log of each object, and counted', async () => {
    const migration = await given({ ...HEADERS, ...LOCK }, { tags: TAGS, objectLock: false });
    migration.source.script
      .on('GetObjectTagging', 'in parts')
      .status(403, { code: 'AccessDenied' });

    const { exitCode, stderr } = await migration.run({ cores, 'object-lock': true, ...IN_PARTS });

    expect(exitCode).toBe(0);
    expect(stderr).toContain(
      '  LOST      not all that belongs to 3 objects was kept, see "lost:" in migrate.log: lock 3, tags 1',
    );
    expect(await details(migration)).toEqual([
      'md5; lost: lock',
      expect.stringMatching(/; lost: tags lock$/),
      'md5; lost: lock',
    ]);
    for (const object of arrived(migration)) expect(object?.headers).toEqual(HEADERS);
  });

  it('what must not be lost makes the object fail, and what does not matter is not told', async () => {
    const migration = await given({ ...HEADERS, ...LOCK }, { tags: TAGS, objectLock: false });
    migration.source.script
      .on('GetObjectTagging', 'collected')
      .status(501, { code: 'NotImplemented' });

    const { exitCode, stderr } = await migration.run({
      cores,
      'object-lock': true,
      'on-loss': 'drop,tags=fail',
      ...IN_PARTS,
    });

    expect(exitCode).toBe(1);
    expect(stderr).toContain('1 loss-tags (source)');
    expect(stderr).not.toContain('LOST');
    expect(await migration.failedLog()).toEqual([
      expect.stringMatching(
        /^collected,[^,]+,loss-tags,501,1,"?not copied, because it would lose its tags/,
      ),
    ]);
    const [collected, inParts, through] = arrived(migration);
    expect([collected, inParts?.tags, through?.tags]).toEqual([undefined, TAGS, TAGS]);
  });
});

it('a storage class by its name is that of all new objects', async () => {
  const migration = await given({ 'x-amz-storage-class': 'GLACIER_IR' });
  await migration.run({ 'storage-class': 'ONEZONE_IA', ...IN_PARTS });
  for (const object of arrived(migration)) {
    expect(object?.headers).toMatchObject({ 'x-amz-storage-class': 'ONEZONE_IA' });
  }
});

it('the probe tells what the destination changes, before any object is written', async () => {
  const migration = await given(HEADERS, { tags: TAGS });
  // As MinIO does.
  migration.destination.script
    .seeProbe()
    .on('PUT')
    .where(({ headers }) => headers.has('x-amz-website-redirect-location'))
    .ignoreHeaders('x-amz-website-redirect-location');

  const { exitCode, stderr } = await migration.run({ 'on-loss': 'drop,redirect=fail', cores: 1 });

  expect(exitCode).toBe(1);
  expect(stderr).toContain('3 loss-redirect (destination)');
  expect(migration.destination.bucket.keys()).toEqual([]);
});
