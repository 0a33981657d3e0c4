/**
 * The same command goes on where the last run ended, whatever ended it; another command is refused.
 */
import { readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Flags, gate, keysIn, type Migration, photo, prepareMigration } from './migration.ts';

const LISTED = 8000;

/**
 * A list of several pages whose every 25th key the destination lacks: what is recorded page by page can
 * be seen without copying thousands of objects.
 */
async function givenSeveralPages(): Promise<{ migration: Migration; toCopy: string[] }> {
  const migration = await prepareMigration();
  const keys = Array.from({ length: LISTED }, (_, i) => photo(i));
  const isToCopy = (_: string, index: number) => index % 25 === 0;
  const toCopy = keys.filter(isToCopy);
  for (const key of toCopy) migration.source.put(key, `bytes of ${key}`);
  await migration.listKeys('src', keys);
  await migration.listKeys(
    'dest',
    keys.filter((key, index) => !isToCopy(key, index)),
  );
  return { migration, toCopy };
}

/** Starts the command and kills it with SIGKILL when the nth PUT of a listed key has arrived. */
async function killAtPut(migration: Migration, nth: number): Promise<void> {
  const { destination } = migration;
  const program = migration.start({ threads: 8 });
  await program.reaches(
    destination.script.until(
      (requests) =>
        requests.filter(({ method, key }) => method === 'PUT' && isPhoto(key)).length >= nth,
    ),
  );
  program.kill('SIGKILL');
  expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
}

function isPhoto(key: string): boolean {
  return key.startsWith('photos/');
}

/** Complete lines of a log that a killed process may have left torn. */
async function loggedSoFar(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, 'migrate.log'), 'latin1').catch(() => '');
  return keysIn(text.split('\n').slice(1, -1));
}

describe('after kill -9', () => {
  it.each([1, 150, 319])(
    'at PUT %i the same command copies the rest and nothing that was recorded again',
    async (nth) => {
      const { migration, toCopy } = await givenSeveralPages();
      const { source, destination } = migration;
      await killAtPut(migration, nth);
      const recorded = await loggedSoFar(migration.logFolder);
      source.script.requests.length = 0;

      const { exitCode, stderr } = await migration.run({ threads: 8 });

      expect(stderr).toContain('every listed key is accounted for');
      expect(exitCode).toBe(0);
      expect(destination.contents()).toEqual(source.contents());
      expect(keysIn(await migration.migrateLog())).toEqual(toCopy);
      const readAgain = new Set<string>(source.script.requests.map(({ key }) => key));
      expect(recorded.filter((key) => readAgain.has(key))).toEqual([]);
    },
  );

  it('again and again, all keys are copied in the end', async () => {
    const { migration, toCopy } = await givenSeveralPages();
    for (const nth of [60, 130, 200]) await killAtPut(migration, nth);
    const { exitCode, stderr } = await migration.run();
    expect(stderr).toMatch(/^ {2}before {4}earlier runs: upld /m);
    expect(exitCode).toBe(0);
    expect(migration.destination.contents()).toEqual(migration.source.contents());
    expect(keysIn(await migration.migrateLog())).toEqual(toCopy);
  });

  it('the last key of migrate.log is a safe --start-after for a new log folder', async () => {
    const { migration, toCopy } = await givenSeveralPages();
    await killAtPut(migration, 200);
    const recorded = await loggedSoFar(migration.logFolder);
    const last = recorded.at(-1) as string;
    const newFolder = migration.path('by-hand');

    const { exitCode, stderr } = await migration.run({
      'start-after': last,
      'log-folder': newFolder,
    });

    expect(stderr).toContain(`before    --start-after ${last}: not counted`);
    expect(exitCode).toBe(0);
    expect([...recorded, ...keysIn(await migration.migrateLog(newFolder))]).toEqual(toCopy);
    expect(migration.destination.contents()).toEqual(migration.source.contents());
  });
});

describe('--start-after', () => {
  it('takes the escaped form of the log, whatever bytes the key has', async () => {
    const migration = await prepareMigration();
    for (const key of ['a\tb', 'b\xff', 'c']) migration.source.put(key, 'x');
    await migration.listKeys();
    const started = await migration.run({ 'start-after': String.raw`b\xFF` });
    expect(started.exitCode).toBe(0);
    expect(migration.destination.bucket.keys()).toEqual(['c']);
  });

  it('may name a key that is not in the list', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(4);
    expect(await migration.run({ 'start-after': `${photo(1)}x` })).toMatchObject({ exitCode: 0 });
    expect(migration.destination.bucket.keys()).toEqual([photo(2), photo(3)]);
  });

  it('after the last key is a run with nothing to do', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    expect(await migration.run({ 'start-after': photo(9) })).toMatchObject({ exitCode: 0 });
    expect(migration.destination.bucket.keys()).toEqual([]);
  });
});

describe('a finished run', () => {
  it('says so when the same command is given again, and transfers nothing', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(3);
    await migration.run();
    migration.source.script.requests.length = 0;
    const { exitCode, stderr } = await migration.run();
    expect(stderr).toMatch(
      /^s3migrate: this run is complete already: 3 objects copied, 0 failed; nothing to do\n/,
    );
    expect(stderr).toContain('new --log-folder');
    expect(exitCode).toBe(0);
    expect(migration.source.script.count('GetObject')).toBe(0);
  });

  it('keeps its exit code 1 when objects had failed', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(2);
    migration.source.script.on('GetObject', photo(1)).status(403, { code: 'AccessDenied' });
    expect(await migration.run()).toMatchObject({ exitCode: 1 });
    const { exitCode, stderr } = await migration.run();
    expect(stderr).toContain('complete already: 1 objects copied, 1 failed');
    expect(exitCode).toBe(1);
  });

  it('is found out again from any cut of its log, with the same destination', async () => {
    const migration = await prepareMigration();
    const keys = await migration.givenPhotos(60);
    await migration.run();
    const { destination, source } = migration;
    const log = join(migration.logFolder, 'migrate.log');
    const { length } = await readFile(log);
    for (const share of [0, 0.01, 0.3, 0.62, 0.999]) {
      const cut = Math.floor(length * share);
      await truncate(log, cut);
      const kept = new Set(await loggedSoFar(migration.logFolder));
      // What is not in the log may not be at the destination either.
      for (const key of destination.bucket.keys())
        if (!kept.has(key)) destination.bucket.delete(key);

      expect(await migration.run()).toMatchObject({ exitCode: 0 });

      expect(destination.contents()).toEqual(source.contents());
      expect(keysIn(await migration.migrateLog())).toEqual(keys);
    }
  });
});

describe('a log folder of another run', () => {
  async function expectRefused(changes: (migration: Migration) => Flags, message: RegExp) {
    const migration = await prepareMigration();
    await migration.givenPhotos(6);
    await migration.run({ first: 2 });
    migration.source.script.requests.length = 0;
    const before = await readFile(join(migration.logFolder, 'migrate.log'));

    const { exitCode, stderr } = await migration.run(changes(migration));

    expect(stderr).toMatch(message);
    expect(stderr.split('\n')).toHaveLength(3);
    expect(stderr).toContain('another --log-folder');
    expect(exitCode).toBe(2);
    expect(migration.source.script.requests).toEqual([]);
    expect(await readFile(join(migration.logFolder, 'migrate.log'))).toEqual(before);
  }

  it.each<[what: string, changes: (migration: Migration) => Flags, message: RegExp]>([
    [
      'source endpoint',
      ({ destination }) => ({ 'src-url': destination.server.url }),
      /src-url was "http:\S+" and is "http:/,
    ],
    ['source bucket', () => ({ 'src-bucket': 'other' }), /src-bucket was "photos" and is "other"/],
    [
      'destination endpoint',
      ({ source }) => ({ 'dest-url': source.server.url }),
      /dest-url was "http:\S+" and is "http:/,
    ],
    [
      'destination bucket',
      () => ({ 'dest-bucket': 'other' }),
      /dest-bucket was "archive" and is "other"/,
    ],
    [
      'number of hosts',
      () => ({ 'hash-count': 2, 'hash-value': 0 }),
      /hash-count was "1" and is "2"/,
    ],
    [
      'beginning',
      () => ({ 'start-after': photo(3) }),
      /no --start-after, and this is one with --start-after "photos\/0003\.jpg"/,
    ],
  ])('is refused with the name of what differs: the %s', async (_, changes, message) => {
    await expectRefused(changes, message);
  });

  it.each(['src', 'dest'] as const)(
    'is refused when a list was added or changed: of %s',
    async (side) => {
      const migration = await prepareMigration();
      await migration.givenPhotos(4);
      await migration.run({ first: 2 });
      await migration.writeList(side, '00001.txt', 'zebra\n');
      const { exitCode, stderr } = await migration.run();
      const name = side === 'src' ? 'source lists' : 'destination lists';
      expect(stderr).toContain(`the log folder is of another run: ${name} was `);
      expect(exitCode).toBe(2);
    },
  );

  it('is not one whose run differs only in how it works: threads, memory, credentials', async () => {
    const migration = await prepareMigration();
    await migration.givenPhotos(4);
    await migration.run({ first: 2 });
    const changes = {
      threads: 1,
      memory: '64MiB',
      'src-session-token': 'new',
      'ahead-disk': '1MB',
    };
    expect(await migration.run(changes)).toMatchObject({ exitCode: 0 });
    expect(migration.destination.bucket.keys()).toHaveLength(4);
  });

  it('is taken up by the last key of its log as --start-after too', async () => {
    const migration = await prepareMigration();
    const keys = await migration.givenPhotos(4);
    await migration.run({ first: 2 });
    expect(await migration.run({ 'start-after': photo(1) })).toMatchObject({ exitCode: 0 });
    expect(keysIn(await migration.migrateLog())).toEqual(keys);
  });
});

it('refuses a second process on the log folder of one that runs, and names it', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(2);
  const { opened, open } = gate();
  migration.source.script.on('GetObject').before(() => opened);
  const first = migration.start();
  await first.reaches(migration.source.script.seen('GetObject', 1));

  const second = await migration.run();

  expect(second.stderr).toMatch(/^s3migrate: .*another s3migrate works with this folder/);
  expect(second.stderr).toContain(`process ${first.pid}`);
  expect(second.exitCode).toBe(2);
  open();
  expect(await first.ended).toMatchObject({ exitCode: 0 });
  expect(await migration.run()).toMatchObject({ exitCode: 0 });
});
