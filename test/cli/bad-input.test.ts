/**
 * Bad input: one clear line and a hint on standard error, exit code 2, and nothing is started.
 */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../support/run-s3migrate.ts';
import { type Flags, type Migration, prepareMigration } from './migration.ts';

/** Expects a refusal in two lines, before any server was asked for anything or a log folder made. */
async function expectRefused(
  migration: Migration,
  changes: Flags,
  { message, hint }: { message: string | RegExp; hint: string | RegExp },
): Promise<void> {
  const { exitCode, stdout, stderr } = await migration.run(changes);
  const [first = '', second = '', ...others] = stderr.split('\n');
  expect(first).toMatch(/^s3migrate: /);
  expect(first).toMatch(message);
  expect(second).toMatch(/^ {2}\S/);
  expect(second).toMatch(hint);
  expect(others).toEqual(['']);
  expect(stdout).toBe('');
  expect(exitCode).toBe(2);
  expect(migration.source.script.requests).toEqual([]);
  expect(migration.destination.script.requests).toEqual([]);
  expect(existsSync(migration.logFolder)).toBe(false);
}

async function givenMigration(): Promise<Migration> {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  return migration;
}

describe('a flag', () => {
  it.each([
    'src-url',
    'src-bucket',
    'src-key',
    'src-secret',
    'src-folder',
    'dest-url',
    'dest-bucket',
    'dest-key',
    'dest-secret',
    'dest-folder',
  ])('that is mandatory must be there: --%s', async (flag) => {
    await expectRefused(
      await givenMigration(),
      { [flag]: undefined },
      { message: `missing --${flag}`, hint: /environment \(S3MIGRATE_[A-Z_]+\)/ },
    );
  });

  it('that is missing is named together with all others', async () => {
    const { exitCode, stderr } = await runProgram([]);
    expect(stderr).toMatch(/^s3migrate: missing --src-url, --src-bucket, .*, --dest-folder\n/);
    expect(exitCode).toBe(2);
  });

  it.each<[flag: string, value: string | number, message: RegExp]>([
    ['threads', 0, /--threads "0" is not a whole number from 1 to 4096/],
    ['threads', 4097, /--threads "4097"/],
    ['threads', '-1', /--threads/],
    ['threads', '1.5', /--threads "1\.5"/],
    ['threads', 'many', /--threads "many"/],
    ['connect-timeout', '500ms', /--connect-timeout "500ms" is not a duration from 1s to 1h/],
    ['first-byte-timeout', '2h', /--first-byte-timeout "2h" is not a duration from 1s to 1h/],
    ['idle-timeout', 'soon', /--idle-timeout "soon" is not a duration from 1s to 1h/],
    ['min-throughput', '2GiB', /--min-throughput "2GiB" is not a size from 0 bytes to 1 GiB/],
    ['first', 0, /--first "0" is not a whole number at least 1/],
    ['hash-count', 0, /--hash-count "0"/],
    ['memory', '1MiB', /--memory "1MiB" is not a size of at least/],
    ['memory', 'lots', /--memory "lots"/],
    ['ahead-disk', 'x', /--ahead-disk "x"/],
    ['multipart-threshold', '6GiB', /--multipart-threshold "6GiB"/],
    ['src-addressing', 'dns', /--src-addressing "dns" is neither path nor virtual/],
    ['src-bucket', 'a/b', /--src-bucket "a\/b" is no bucket name/],
    ['dest-secret', 'copied with a line\n', /--dest-secret holds a blank, a line break/],
    ['src-ca-file', 'missing.pem', /--src-ca-file missing\.pem cannot be read/],
    ['start-after', String.raw`half\x4`, /--start-after "half\\x4" has a malformed escape/],
    ['start-after', 'ends in \\', /--start-after .* has a malformed escape/],
  ])('with an unfit value is named with it: --%s %s', async (flag, value, message) => {
    await expectRefused(await givenMigration(), { [flag]: value }, { message, hint: /./ });
  });

  it('that does not exist is named', async () => {
    await expectRefused(
      await givenMigration(),
      { treads: 3 },
      { message: "unknown option '--treads'", hint: '--help' },
    );
  });

  it('that lacks its value is named', async () => {
    const { exitCode, stderr } = await runProgram(['--threads']);
    expect(stderr).toMatch(/^s3migrate: option '--threads <number>' argument missing\n {2}\S.*\n$/);
    expect(exitCode).toBe(2);
  });

  it('is not an argument: what stands alone is refused', async () => {
    const { exitCode, stderr } = await runProgram(['photos', 'archive']);
    expect(stderr).toMatch(
      /^s3migrate: "photos" is neither a command nor the value of a flag\n {2}\S.*\n$/,
    );
    expect(exitCode).toBe(2);
  });
});

describe('a URL', () => {
  it.each([
    ['127.0.0.1:9000', /no scheme/],
    ['storage.example', /no scheme/],
    ['ftp://127.0.0.1:9000', /scheme is ftp/],
    ['http://127.0.0.1:9000/photos', /has a path/],
    ['http://127.0.0.1:9000?x=1', /has a path or a query/],
    ['http://', /not a URL|no host/],
    ['http://127.0.0.1:99999', /not a URL/],
  ])('must be scheme, host and port alone: %s', async (url, message) => {
    await expectRefused(
      await givenMigration(),
      { 'src-url': url },
      { message, hint: '--src-url http://' },
    );
  });

  it('must not hold credentials, and they are not shown', async () => {
    const migration = await givenMigration();
    const changes = { 'dest-url': 'http://user:pa55word@127.0.0.1:9000' };
    await expectRefused(migration, changes, { message: /--dest-url .*credentials/, hint: /./ });
    expect((await migration.run(changes)).stderr).not.toContain('pa55word');
  });
});

describe('the two sides', () => {
  it('must not be the same bucket of the same endpoint, under whatever name of this host', async () => {
    const migration = await givenMigration();
    await expectRefused(
      migration,
      {
        'dest-url': `http://localhost:${migration.source.server.port}`,
        'dest-bucket': migration.source.bucketName,
      },
      { message: 'source and destination are the same bucket: photos', hint: '--dest-bucket' },
    );
  });

  it('must not have the same list folder', async () => {
    const migration = await givenMigration();
    await expectRefused(
      migration,
      { 'dest-folder': `${migration.path('lists')}/./src` },
      { message: '--src-folder and --dest-folder are the same folder', hint: /./ },
    );
  });
});

describe('the hosts of a migration', () => {
  it.each<[Flags, RegExp]>([
    [{ 'hash-count': 4, 'hash-value': 4 }, /--hash-value 4 is not in 0 to 3/],
    [{ 'hash-count': 4, 'hash-value': -1 }, /--hash-value/],
    [{ 'hash-value': 1 }, /--hash-value 1 is not in 0 to 0/],
    [{ 'hash-count': 4 }, /--hash-count 4 needs --hash-value/],
  ])('are numbered from 0 to hash-count - 1: %j', async (changes, message) => {
    await expectRefused(await givenMigration(), changes, { message, hint: /./ });
  });
});

describe('a list folder', () => {
  it('must exist', async () => {
    const migration = await givenMigration();
    await expectRefused(
      migration,
      { 'src-folder': migration.path('nowhere') },
      { message: /--src-folder .*nowhere: no such folder/, hint: 's3find' },
    );
    await expectRefused(
      migration,
      { 'dest-folder': migration.path('nowhere') },
      { message: /--dest-folder .*nowhere: no such folder/, hint: 'an empty one' },
    );
  });

  it('of the source must hold a key', async () => {
    const migration = await prepareMigration();
    const refusal = { message: 'no keys to migrate', hint: 's3find or s3migrate list' };
    await expectRefused(migration, {}, refusal);
    await migration.writeList('src', '00000.txt', '');
    await migration.writeList('src', '.00001.txt', 'hidden\n');
    await expectRefused(migration, {}, refusal);
  });

  it.each<[problem: string, list: string, message: RegExp, hint: RegExp]>([
    ['an empty line', '\na\n', /00000\.txt:1: empty key/, /sed -i '\/\^\$\/d' .*00000\.txt/],
    ['a NUL', 'a\0b\n', /00000\.txt:1: a key holds a NUL byte/, /one key a line/],
    [
      'a key of more than 1,024 bytes',
      `${'k'.repeat(1025)}\n`,
      /00000\.txt:1: key of more than 1024 bytes, beginning with "kkk/,
      /at most 1024 bytes/,
    ],
    ['CR LF line ends', 'a\r\nb\r\n', /00000\.txt:1: lines end in CR LF/, /sed -i/],
    ['a byte order mark', '\xef\xbb\xbfa\n', /00000\.txt:1: .*byte order mark/, /sed -i/],
  ])('must not begin with %s', async (_, list, message, hint) => {
    const migration = await prepareMigration();
    await migration.writeList('src', '00000.txt', list);
    await expectRefused(migration, {}, { message, hint });
  });

  it('must name the key column in the header row of a .csv list', async () => {
    const migration = await prepareMigration();
    await migration.writeList('src', '00000.csv', 'name,size\na,1\n');
    await expectRefused(migration, {}, { message: /00000\.csv:1: .*"key"/, hint: 'header row' });
  });
});

describe('the log folder', () => {
  it('must be a folder that can be written', async () => {
    const migration = await givenMigration();
    await writeFile(migration.path('file'), '');
    for (const logFolder of [migration.path('file'), migration.path('file', 'below')]) {
      await expectRefused(
        migration,
        { 'log-folder': logFolder },
        { message: /file/, hint: '--log-folder' },
      );
    }
  });

  it('must not hold a log without a run', async () => {
    const migration = await givenMigration();
    await mkdir(migration.path('stray'));
    await writeFile(migration.path('stray', 'migrate.log'), 'key,outcome,bytes,etag,detail\n');
    await expectRefused(
      migration,
      { 'log-folder': migration.path('stray') },
      { message: 'migrate.log: is a log of another run', hint: 'another --log-folder' },
    );
  });
});
