/**
 * P11, P12 and P13: which command continues which run, where it begins, and whose the keys are.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Flags, keysIn, type Migration, photo, prepareMigration } from '../cli/migration.ts';
import { commandLine, startCommand } from '../support/run-s3migrate.ts';
import { Invariants, readLogs } from './invariants.ts';

const PACKAGE = join(import.meta.dirname, '../../package.json');

async function givenBegunRun(first = 3): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  await migration.givenPhotos(6);
  const invariants = new Invariants(migration);
  expect(await migration.run({ first, 'hash-count': 1, 'hash-value': 0 })).toMatchObject({
    exitCode: 0,
  });
  return { migration, invariants };
}

async function expectRefused(migration: Migration, changes: Flags, message: RegExp): Promise<void> {
  const writes = migration.writesSeen();
  const log = await migration.migrateLog();
  const { exitCode, stderr } = await migration.run(changes);
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/^s3migrate: .*\n {2}.*another --log-folder.*\n$/);
  expect(exitCode).toBe(2);
  expect(migration.writesSeen()).toBe(writes);
  expect(await migration.migrateLog()).toEqual(log);
}

test.each<[field: string, changes: (migration: Migration) => Flags]>([
  ['src-url', ({ destination }) => ({ 'src-url': destination.server.url })],
  ['src-bucket', () => ({ 'src-bucket': 'other' })],
  ['dest-url', ({ source }) => ({ 'dest-url': source.server.url })],
  ['dest-bucket', () => ({ 'dest-bucket': 'other' })],
  ['hash-count', () => ({ 'hash-count': 2, 'hash-value': 0 })],
  ['--start-after', () => ({ 'start-after': photo(4) })],
])(
  'P11: another %s is refused by its name, and the command as it was goes on',
  async (field, changes) => {
    const { migration, invariants } = await givenBegunRun();
    await expectRefused(migration, changes(migration), new RegExp(`run.*${field}`));
    expect(await migration.run()).toMatchObject({ exitCode: 0 });
    await invariants.expectComplete();
  },
);

test('P11: another --hash-value is refused by its name', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(6);
  expect(await migration.run({ 'hash-count': 2, 'hash-value': 0 })).toMatchObject({ exitCode: 0 });
  await expectRefused(
    migration,
    { 'hash-count': 2, 'hash-value': 1 },
    /hash-value was "0" and is "1"/,
  );
});

test.each([
  ['src', 'source lists', 'another key', `${photo(9)}\n`],
  ['dest', 'destination lists', 'another key', `${photo(9)}\n`],
  ['src', 'source lists', 'no more keys', ''],
  ['dest', 'destination lists', 'no more keys', ''],
] as const)(
  'P11: other lists are refused by their name: %s, %s, one list file with %s',
  async (side, name, _, content) => {
    const { migration } = await givenBegunRun();
    await migration.writeList(side, '00001.txt', content);
    await expectRefused(
      migration,
      {},
      new RegExp(`${name} was "[0-9a-f]{64}" and is "[0-9a-f]{64}"`),
    );
  },
);

async function givenVersion(migration: Migration, fields: object): Promise<void> {
  const path = migration.path('logs', 'migrate.run.json');
  const state = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...state, ...fields }));
}

test('P11: another version with the same major number goes on, and says so', async () => {
  const { migration, invariants } = await givenBegunRun();
  const { version } = JSON.parse(await readFile(PACKAGE, 'utf8')) as { version: string };
  const other = version.replace(/\d+$/, '999');
  await givenVersion(migration, { toolVersion: other });
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toContain(
    `s3migrate: warning: ${migration.path('logs', 'migrate.run.json')}: written by version ${other}, continued by ${version}\n`,
  );
  expect(exitCode).toBe(0);
  await invariants.expectComplete();
});

test.each([
  [{ toolVersion: '99.0.0' }, /tool version was "99\.0\.0" and is "/],
  [{ toolVersion: '' }, /tool version was "" and is "/],
  [{ format: 2 }, /its format is 2, this program reads 1/],
])('P11: another major version or format is refused: %j', async (fields, message) => {
  const { migration } = await givenBegunRun();
  await givenVersion(migration, fields);
  await expectRefused(migration, {}, message);
});

/** All kinds of bytes, in key order. */
const KEYS = ['a', 'a\nb', 'a\xff', 'b', 'b,"c"', 'c\\d', 'd\xc3\xa9', 'z'];

test.each<[what: string, startAfter: string, left: readonly string[]]>([
  ['a key that is not in the list', 'aa', KEYS.slice(2)],
  ['the last key', 'z', []],
  ['a key beyond the end', 'zzz', []],
  ['a key before the start', '!', KEYS],
  ['nothing', '', KEYS],
  ['a key with a line feed, escaped', String.raw`a\nb`, KEYS.slice(2)],
  ['a key with a line feed as it is', 'a\nb', KEYS.slice(2)],
  ['a key that is not UTF-8, escaped', String.raw`a\xFF`, KEYS.slice(3)],
  ['a key with a backslash, escaped', String.raw`c\\d`, KEYS.slice(6)],
  ['a key with a comma and quotes', 'b,"c"', KEYS.slice(5)],
  ['a key of UTF-8', 'dé', KEYS.slice(7)],
])('P12: --start-after %s copies exactly what comes after it', async (_, startAfter, left) => {
  const migration = await prepareMigration();
  for (const key of KEYS) migration.source.put(key, `bytes of ${key}`);
  await migration.writeList('src', '00000.csv', `key\n${KEYS.map(asCsv).join('')}`);
  const invariants = new Invariants(migration);

  const { exitCode, stderr } = await migration.run({ 'start-after': startAfter });

  expect(exitCode).toBe(0);
  expect(migration.destination.bucket.keys()).toEqual(left);
  const { migrate } = await invariants.expectSound();
  expect(migrate.map(({ key }) => key)).toEqual(left);
  expect(stderr).toContain('every listed key is accounted for');
  expect(stderr).toContain(`obj ${left.length} = `);
  // The same command again is that of a run that is complete.
  expect(await migration.run({ 'start-after': startAfter })).toMatchObject({ exitCode: 0 });
});

function asCsv(key: string): string {
  const escaped = key.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\xff', '\\xFF');
  return `"${escaped.replaceAll('"', '""')}"\n`;
}

test('P12: --start-after with bytes that are not UTF-8 is refused: Node has lost which they were', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(2);
  const words = commandLine(migration.args(), 's3migrate');
  const shell = 'exec "$@" --start-after "$(printf "photos/\\377")"';
  const { exitCode, stderr } = await startCommand(['sh', '-c', shell, 'sh', ...words]).ended;
  expect(stderr).toMatch(
    /^s3migrate: --start-after ".*" holds bytes that are not UTF-8\n {2}.*\\xFF/,
  );
  expect(exitCode).toBe(2);
  expect(migration.destination.bucket.keys()).toEqual([]);
});

test.each([2, 5])(
  'P13: %i hosts copy every key exactly once, and none logs a key of another',
  async (hosts) => {
    const migration = await prepareMigration();
    const { source, destination } = migration;
    const keys = Array.from({ length: 120 }, (_, i) => `${photo(i)}${i % 3 === 0 ? '\xff' : ''}`);
    for (const key of keys) source.put(key, `bytes of ${key}`);
    await migration.listKeys('src');
    const there = keys.slice(0, 10);
    await migration.listKeys('dest', there);
    const invariants = new Invariants(migration);
    const folders = Array.from({ length: hosts }, (_, host) => migration.path(`host-${host}`));

    const ends = await Promise.all(
      folders.map((folder, host) =>
        migration.run({ 'hash-count': hosts, 'hash-value': host, 'log-folder': folder }),
      ),
    );

    expect(ends.map(({ exitCode }) => exitCode)).toEqual(folders.map(() => 0));
    const { migrate } = await invariants.expectComplete(...folders);
    expect(migrate.map(({ key }) => key).toSorted()).toEqual(keys.slice(10));
    const shares = await Promise.all(
      folders.map(async (folder) => (await readLogs(folder)).migrate.length),
    );
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(source.script.count('GetObject')).toBe(110);
    expect(destination.bucket.keys()).toEqual(keys.slice(10));
    expect(keysIn(await migration.migrateLog(folders[0]))).toHaveLength(shares[0] as number);
  },
);
