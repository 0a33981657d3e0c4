/**
 * P6 and P7: logs that somebody else has a hand in. What is no regular file of this run is refused at the start; what
 * happens to a log while the run writes it disturbs no object, and is told at the end.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { gate, keysIn, type Migration, photo, prepareMigration } from '../cli/migration.ts';
import { Invariants, readLogs } from './invariants.ts';

async function givenBegunRun(): Promise<{ migration: Migration; invariants: Invariants }> {
  const migration = await prepareMigration();
  await migration.givenPhotos(6);
  const invariants = new Invariants(migration);
  expect(await migration.run({ first: 3 })).toMatchObject({ exitCode: 0 });
  return { migration, invariants };
}

type Placement = (path: string, elsewhere: string) => Promise<unknown> | void;
const PLACEMENTS: readonly [what: string, place: Placement, said: RegExp][] = [
  [
    'a symbolic link',
    async (path, elsewhere) => {
      await writeFile(elsewhere, 'precious');
      await symlink(elsewhere, path);
    },
    /is a symbolic link|is not a directory/,
  ],
  [
    'a FIFO',
    (path) => void execFileSync('mkfifo', [path]),
    /is not a regular file|is not a directory/,
  ],
  ['a folder', (path) => mkdir(path), /is a directory|is not a regular file/],
  ['a dangling link', (path) => symlink('nowhere', path), /is a symbolic link|is not a directory/],
];

describe.each(['migrate.log', 'failed.log', 'migrate.run.json', 'migrate.lock', 'migrate.ahead'])(
  '%s',
  (name) => {
    const placements =
      name === 'migrate.ahead' ? PLACEMENTS.filter(([what]) => what !== 'a folder') : PLACEMENTS;

    test.each(placements)(
      'P6: that is %s is refused before anything is started',
      async (_, place, said) => {
        const { migration, invariants } = await givenBegunRun();
        const path = migration.path('logs', name);
        const original = migration.path('original');
        await rename(path, original).catch(() => mkdir(original));
        await place(path, migration.path('elsewhere'));
        const writes = migration.writesSeen();

        const { exitCode, stderr } = await migration.run();

        expect(stderr).toContain(`s3migrate: ${path}`);
        expect(stderr).toMatch(said);
        expect(stderr.split('\n')).toHaveLength(3);
        expect(exitCode).toBe(2);
        expect(migration.writesSeen()).toBe(writes);
        expect(await readFile(migration.path('elsewhere'), 'latin1').catch(() => 'precious')).toBe(
          'precious',
        );

        await rm(path, { recursive: true });
        if (name !== 'migrate.lock') await rename(original, path);
        expect(await migration.run()).toMatchObject({ exitCode: 0 });
        await invariants.expectComplete();
      },
    );
  },
);

test.each(['migrate.log', 'failed.log'])(
  'P6: in a new folder %s of whatever kind is refused',
  async (name) => {
    for (const [, place] of PLACEMENTS) {
      const migration = await prepareMigration();
      await migration.givenPhotos(1);
      await mkdir(migration.logFolder);
      const path = migration.path('logs', name);
      await place(path, migration.path('elsewhere'));
      const { exitCode, stderr } = await migration.run();
      expect(stderr).toContain(`${path}: is a log of another run`);
      expect(exitCode).toBe(2);
      expect(migration.destination.bucket.keys()).toEqual([]);
    }
  },
);

const MEANWHILE: readonly [what: string, happens: (path: string) => Promise<unknown>][] = [
  ['deleted', (path) => rm(path)],
  [
    'replaced',
    async (path) => {
      await writeFile(`${path}.new`, 'somebody else’s\n');
      await rename(`${path}.new`, path);
    },
  ],
  ['truncated', (path) => truncate(path, 0)],
  ['moved away', (path) => rename(path, `${path}.1`)],
];

describe.each(['migrate.log', 'failed.log'])('%s', (name) => {
  test.each(MEANWHILE)(
    'P6: that is %s while the run writes it: objects are copied, and the end says so',
    async (_, happens) => {
      const migration = await prepareMigration();
      const keys = await migration.givenPhotos(6);
      const invariants = new Invariants(migration);
      migration.source.script.on('GetObject', photo(1)).status(403, { code: 'InvalidObjectState' });
      const { opened, open } = gate();
      migration.destination.script.on('PutObject', photo(5)).before(() => opened);
      const program = migration.start();
      await program.reaches(migration.destination.script.seen('PutObject', 5));
      const path = migration.path('logs', name);
      await happens(path);
      open();

      const { exitCode, stderr } = await program.ended;

      expect(stderr).toContain(`${path}: was removed, replaced or cut while the run wrote it`);
      expect(stderr).toContain('give another --log-folder');
      expect(exitCode).toBe(3);
      expect(migration.destination.bucket.keys()).toEqual(keys.filter((key) => key !== photo(1)));

      // What the log has lost nobody knows any more; a new folder tells of every key again.
      migration.source.script.clear();
      const again = migration.path('new-logs');
      expect(await migration.run({ 'log-folder': again })).toMatchObject({ exitCode: 0 });
      const { migrate } = await invariants.expectComplete(again);
      expect(migrate.map(({ key }) => key)).toEqual(keys);
    },
  );
});

test('P6: a log that was deleted is missed by the next start', async () => {
  const { migration } = await givenBegunRun();
  await rm(migration.path('logs', 'migrate.log'));
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toMatch(/migrate\.log: is missing, but migrate\.run\.json says it had \d+ bytes/);
  expect(exitCode).toBe(2);
});

test('P7: a second process on the same folder is refused, and the first goes on undisturbed', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(4);
  const invariants = new Invariants(migration);
  const { opened, open } = gate();
  migration.source.script.on('GetObject').before(() => opened);
  const first = migration.start();
  await first.reaches(migration.source.script.seen('GetObject', 1));
  for (const changes of [{}, { threads: 2 }, { 'hash-count': 2, 'hash-value': 1 }]) {
    const second = await migration.run(changes);
    expect(second.stderr).toMatch(
      /^s3migrate: .*(?:another s3migrate works with this folder|the log folder is of another run)/,
    );
    expect(second.exitCode).toBe(2);
  }
  open();
  expect(await first.ended).toMatchObject({ exitCode: 0 });
  const { migrate } = await invariants.expectComplete();
  expect(migrate).toHaveLength(4);
});

test('P7: of two processes that start at the same moment one is refused', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(4);
  const invariants = new Invariants(migration);
  const { opened, open } = gate();
  migration.source.script.on('GetObject').before(() => opened);
  const both = [migration.start(), migration.start()];
  const firstEnd = await Promise.race(both.map(({ ended }) => ended));
  expect(firstEnd.exitCode).toBe(2);
  expect(firstEnd.stderr).toContain('another s3migrate works with this folder');
  open();
  const ends = await Promise.all(both.map(({ ended }) => ended));
  expect(new Set(ends.map(({ exitCode }) => exitCode))).toEqual(new Set([0, 2]));
  await invariants.expectComplete();
});

test('P7: two folders for the same share copy each key once: the condition decides', async () => {
  const migration = await prepareMigration();
  const keys = await migration.givenPhotos(200);
  const invariants = new Invariants(migration);
  const folders = [migration.path('one'), migration.path('two')];
  const ends = await Promise.all(folders.map((folder) => migration.run({ 'log-folder': folder })));
  expect(ends.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  await invariants.expectComplete(...folders);
  const logs = await Promise.all(folders.map((folder) => readLogs(folder)));
  for (const { migrate } of logs) expect(migrate.map(({ key }) => key)).toEqual(keys);
  const copied = logs.flatMap(({ migrate }) =>
    migrate.filter(({ outcome }) => outcome === 'copied'),
  );
  expect(copied.map(({ key }) => key).toSorted()).toEqual(keys);
  expect(keysIn(await migration.migrateLog(join(folders[0] as string)))).toEqual(keys);
});
