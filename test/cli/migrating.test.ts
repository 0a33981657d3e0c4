/**
 * A whole migration with the built program: what arrives, what is said, what is written down.
 */
import { readFile, stat } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { photo, prepareMigration, utf8 } from './migration.ts';

const AWKWARD_KEYS = [
  '!"#$&\'()*,-.:;<=>@[]^_`{|}~',
  '%2F',
  '+',
  '.',
  '..',
  '/lead',
  '100%',
  '?query=1&b#fragment',
  'a/../b',
  'a/./b',
  'a//b',
  'a b',
  'a+b',
  'back\\slash',
  'carriage\rreturn',
  'dir/',
  'k'.repeat(1024),
  'not utf-8: \xff\xfe',
  'tab\there',
  utf8('u\u0308mlaut, apart'),
  utf8('\u00fcmlaut, composed'),
  utf8('\ufffd replacement'),
  utf8('\u{1f600} emoji'),
];

const ALL_HEADERS = {
  'content-type': 'image/jpeg; charset=x',
  'cache-control': 'max-age=60',
  'content-disposition': 'attachment; filename="a.jpg"',
  'content-encoding': 'gzip',
  'content-language': 'de, en',
  expires: 'Thu, 01 Dec 1994 16:00:00 GMT',
  'x-amz-meta-plain': 'two  words',
  'x-amz-meta-utf8': utf8('J\u00fcrgen'),
  'x-amz-meta-latin1': 'J\xfcrgen',
  'x-amz-meta-empty': '',
};

describe('what arrives', () => {
  it('is every listed object byte for byte, whatever bytes its key is made of', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    for (const key of AWKWARD_KEYS) source.put(key, `content of ${key}`);
    await migration.listKeys();
    source.put('line\nfeed', 'content');
    await migration.writeList('src', 'escaped.csv', 'key\nline\\nfeed\n');

    const { exitCode, stderr } = await migration.run();

    expect(stderr).toContain('every listed key is accounted for');
    expect(exitCode).toBe(0);
    expect(destination.contents()).toEqual(source.contents());
    expect(await migration.failedLog()).toEqual([]);
  });

  it('has its content type, HTTP headers and metadata, also where those are not ASCII', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('full', 'body', { headers: ALL_HEADERS });
    source.put('empty', '');
    await migration.listKeys();

    expect(await migration.run()).toMatchObject({ exitCode: 0 });

    for (const key of source.bucket.keys()) {
      const { headers, etag } = destination.bucket.get(key) ?? {};
      expect({ headers, etag }).toEqual({
        headers: source.bucket.get(key)?.headers,
        etag: source.bucket.get(key)?.etag,
      });
    }
  });

  it('was sent with the condition that nothing is there, and with a digest of its bytes', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    source.put('single', 'body');
    source.put('in-parts', 'a body that came in parts', { partBytes: 10 });
    source.put('encrypted', 'body', { etag: '0123456789abcdef0123456789abcdef' });
    await migration.listKeys();

    expect(await migration.run()).toMatchObject({ exitCode: 0 });

    const puts = destination.script.requests.filter(({ method, key }) => method === 'PUT' && key);
    expect(puts.length).toBeGreaterThanOrEqual(3);
    for (const { headers } of puts) {
      expect(headers.get('if-none-match')).toBe('*');
      expect(headers.get('content-md5')).toMatch(/^[\w+/]{22}==$/);
    }
    expect(destination.contents()).toEqual(source.contents());
  });

  it('comes from plain, .gz, .csv and .csv.gz lists read as one, each key once', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const keys = await migration.givenPhotos(8);
    const [a, b, c, d, e, f, g, h] = keys.map((key) => `${key}\n`) as [string, ...string[]];
    await migration.writeList('src', '00000.txt', `${a}${e}${h}`);
    await migration.writeList('src', '1.gz', gzipSync(`${b}${e}${f}`));
    await migration.writeList('src', '2.csv', `size,key\n1,${c}2,"${photo(4)}"\n`);
    await migration.writeList(
      'src',
      '3.csv.gz',
      gzipSync(`key,size\n${photo(3)},1\n${photo(6)},2\n`),
    );
    await migration.writeList('src', '.hidden', 'not/listed\n');
    await migration.writeList('dest', '1.csv.gz', gzipSync(`key\n${b}${d}`));
    await migration.writeList('dest', '2.txt.gz', gzipSync(`${c}${g}`));

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(0);
    expect(stderr).toContain('obj 8 = ign 0 + exist 4 + skip 0 (dn 0, up 0) + fail 0 + upld 4');
    expect(destination.bucket.keys()).toEqual([photo(0), photo(4), photo(5), photo(7)]);
    expect(source.script.count('GetObject')).toBe(4);
  });
});

describe('what is not copied', () => {
  it('counts a 404 as skip(dn) and a 412 as skip(up), which are no failures', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const [gone, newer] = (await migration.givenPhotos(3)) as [ObjectKey, ObjectKey];
    source.bucket.delete(gone);
    destination.put(newer, 'written by a client meanwhile');

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(0);
    expect(stderr).toContain('obj 3 = ign 0 + exist 0 + skip 2 (dn 1, up 1) + fail 0 + upld 1');
    expect(stderr).toContain('  skipped   1 exists-differs');
    expect(stderr).toContain('NOT FOUND 1 listed object not in the source (404)');
    expect(destination.contents()).toEqual({
      [newer]: 'written by a client meanwhile',
      [photo(2)]: `bytes of ${photo(2)}`,
    });
    expect(await migration.migrateLog()).toEqual([
      `${gone},skipped-download,,,NoSuchKey`,
      `${newer},skipped-upload,,,exists-differs`,
      expect.stringMatching(/^photos\/0002\.jpg,copied,24,[0-9a-f]{32},md5$/),
    ]);
  });

  it('is a failure with its reason when a side refuses it; the exit code is then 1', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    await migration.givenPhotos(5);
    source.script.on('GetObject', photo(1)).status(403, { code: 'AccessDenied', message: 'No.' });
    destination.script
      .on('PutObject', photo(3))
      .status(400, { code: 'InvalidArgument', message: 'Not, a "name"' });

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(1);
    expect(stderr).toContain('s3migrate: complete in');
    expect(stderr).toContain('with 2 FAILED');
    expect(stderr).toContain('1 AccessDenied (source)');
    expect(stderr).toContain('photos/0001.jpg: No.');
    expect(stderr).toContain('1 InvalidArgument (destination)');
    expect(stderr).toContain(
      `s3migrate --failed-to-folder DIR --log-folder ${migration.logFolder}`,
    );
    expect((await migration.migrateLog()).filter((line) => line.includes(',failed,'))).toEqual([
      `${photo(1)},failed,,,AccessDenied`,
      `${photo(3)},failed,,,InvalidArgument`,
    ]);
    expect(await migration.failedLog()).toEqual([
      expect.stringMatching(/^photos\/0001\.jpg,\d{4}-\d\d-\d\dT[\d:.]+Z,AccessDenied,403,1,No\.$/),
      expect.stringMatching(/^photos\/0003\.jpg,.*Z,InvalidArgument,400,1,"Not, a ""name"""$/),
    ]);
    expect(destination.bucket.keys()).toEqual([photo(0), photo(2), photo(4)]);
  });

  it('is tried again after what passes: a refusal for now, a reset, a cut or wrong body', async () => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    await migration.givenPhotos(6);
    source.script.on('GetObject', photo(0)).status(503, { code: 'SlowDown' }).times(1);
    source.script.on('GetObject', photo(1)).truncateAt(5).times(1);
    source.script.on('GetObject', photo(2)).corrupt().times(1);
    destination.script.on('PutObject', photo(3)).disconnect().times(1);
    destination.script.on('PutObject', photo(4)).corruptUpload().times(1);
    destination.script.on('PutObject', photo(5)).loseAnswer().times(1);

    const { exitCode, stderr } = await migration.run();

    expect(exitCode).toBe(0);
    // One for each; but what was stored before its answer was lost is found there, and only sent again where the
    // connection was a kept one, which may have been closed before.
    expect(stderr).toMatch(/^ {2}retries {3}[56]$/m);
    expect(destination.contents()).toEqual(source.contents());
    expect((await migration.migrateLog()).at(-1)).toMatch(/,copied,.*,found after a lost answer$/);
  });
});

describe('what is written down', () => {
  it('is sorted by the bytes of the keys, each key once, whatever finished first', async () => {
    const migration = await prepareMigration();
    const keys = await migration.givenPhotos(300);
    migration.source.script.on('GetObject', photo(0)).delay(50);
    expect(await migration.run({ threads: 16 })).toMatchObject({ exitCode: 0 });
    const logged = (await migration.migrateLog()).map((line) => line.split(',')[0]);
    expect(logged).toEqual(keys);
  });

  it('is for the operator only: files 0600 in a folder 0700', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(1);
    await migration.run();
    const modeOf = async (name: string) =>
      (await stat(`${migration.logFolder}/${name}`)).mode & 0o777;
    expect(await modeOf('migrate.log')).toBe(0o600);
    expect(await modeOf('failed.log')).toBe(0o600);
    expect(await modeOf('migrate.run.json')).toBe(0o600);
    expect(await modeOf('.')).toBe(0o700);
  });

  it('goes to the working directory without --log-folder, and says how the run went', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    expect(await migration.run({ 'log-folder': undefined })).toMatchObject({ exitCode: 0 });
    const run = JSON.parse(await readFile(migration.path('migrate.run.json'), 'utf8')) as unknown;
    expect(run).toMatchObject({
      state: 'complete',
      identity: { 'src-bucket': 'photos', 'dest-bucket': 'archive' },
      totals: { copied: 2, bytes: 48, failed: 0 },
    });
  });

  it('escapes keys that would break a line or deceive a terminal, in the log and on the screen', async () => {
    const migration = await prepareMigration();
    const { source } = migration;
    source.put('bell\x07\xff', 'x');
    source.put('red\x1b[31m', 'x');
    await migration.listKeys();
    source.script.on('GetObject').status(403, { code: 'AccessDenied', message: '\x1b[2J wiped' });

    const { stderr } = await migration.run();

    // oxlint-disable-next-line no-control-regex
    expect(stderr).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
    expect(stderr).toContain(String.raw`bell\x07\xFF: `);
    expect(await migration.migrateLog()).toEqual([
      String.raw`bell\x07\xFF,failed,,,AccessDenied`,
      String.raw`red\x1B[31m,failed,,,AccessDenied`,
    ]);
  });
});
