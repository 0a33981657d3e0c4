/**
 * P5: a disk that takes nothing from the beginning on has nothing started; and what cannot be shown is in the
 * way of no object.
 */
import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { photo, prepareMigration } from '../cli/migration.ts';
import { commandLine, type Ended, startCommand } from '../support/run-s3migrate.ts';
import { failing } from '../support/system-faults.ts';
import { Invariants } from './invariants.ts';
import { givenSeveralPages, type SeveralPages } from './several-pages.ts';

const FLAGS = { threads: 4, cores: 1 };
/** What a run leaves in its folder. */
const LOGS = ['failed.log', 'migrate.log', 'migrate.run.json'];

async function expectNothingStarted(
  pages: SeveralPages,
  { exitCode, stderr }: Ended,
): Promise<void> {
  expect(stderr).toMatch(/^s3migrate: \/\S+: cannot be used for the run's logs: /);
  expect(stderr).toContain('\n  Give a --log-folder on a disk that can be written to.\n');
  expect(stderr.split('\n')).toHaveLength(3);
  expect(exitCode).toBe(2);
  expect(pages.migration.destination.bucket.keys()).toEqual([]);
  await pages.expectContinues();
}

test.each([
  ['migrate.run.json.part', 'openat', 'error=EROFS'],
  ['migrate.run.json.part', 'write', 'error=ENOSPC'],
  ['migrate.run.json.part', 'fsync', 'error=EIO'],
  ['migrate.run.json.part', 'rename', 'error=EDQUOT'],
  ['migrate.log', 'openat', 'error=EROFS'],
  ['migrate.log', 'write', 'error=ENOSPC'],
  ['migrate.log', 'fsync', 'error=EIO'],
  ['failed.log', 'openat', 'error=EROFS'],
  ['failed.log', 'write', 'error=ENOSPC'],
  ['failed.log', 'fsync', 'error=EIO'],
])('P5: %s that cannot be made (%s: %s) has nothing started', async (name, calls, fault) => {
  const pages = await givenSeveralPages();
  const { migration } = pages;
  const options = failing({ paths: [migration.path('logs', name)], calls, fault });
  await expectNothingStarted(pages, await migration.run(FLAGS, options));
});

test.each([1, 2])(
  'P5: a lock that cannot be taken (rename %i: ENOSPC) has nothing started',
  async (when) => {
    const pages = await givenSeveralPages();
    const { migration } = pages;
    // The first two renames of all are those of the lock.
    const options = failing({ paths: [], calls: 'rename', fault: 'error=ENOSPC', when });
    await expectNothingStarted(pages, await migration.run(FLAGS, options));
    expect(await readdir(migration.logFolder)).toEqual(LOGS);
  },
);

test('P5: a full disk behind standard error is in the way of no object', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(20);
  const invariants = new Invariants(migration);
  const words = commandLine(migration.args(), 's3migrate');
  const command = ['sh', '-c', 'exec "$@" > /dev/full 2>&1', 'sh', ...words];
  expect(await startCommand(command).ended).toMatchObject({ exitCode: 0 });
  const { migrate } = await invariants.expectComplete();
  expect(migrate).toHaveLength(20);
});

test('P5: what a --dry-run has to say and cannot say makes it fail', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  const words = commandLine(migration.args({ 'dry-run': true }), 's3migrate');
  const command = ['sh', '-c', 'exec "$@" > /dev/full', 'sh', ...words];
  const { exitCode, stderr } = await startCommand(command).ended;
  expect(stderr).toMatch(
    /^s3migrate: standard output cannot be written: ENOSPC.*\n {2}Nothing was copied\./,
  );
  expect(exitCode).toBe(3);
});

test('P5: a device is no log folder', async () => {
  const migration = await prepareMigration();
  await migration.givenPhotos(3);
  const { exitCode, stderr } = await migration.run({ 'log-folder': '/dev/full' });
  expect(stderr).toMatch(/^s3migrate: \/dev\/full.*\n {2}.*--log-folder/);
  expect(exitCode).toBe(2);
  expect(migration.destination.bucket.keys()).not.toContain(photo(0));
});
