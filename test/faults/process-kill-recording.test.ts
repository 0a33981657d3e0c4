/**
 * P1: SIGKILL in the middle of recording, by the system call that it comes in: whatever it left of a file, the next
 * start goes on exactly.
 */
import { expect, test } from 'vitest';
import { gate } from '../cli/migration.ts';
import type { RunOptions } from '../support/run-s3migrate.ts';
import { failing, withFilesOf } from '../support/system-faults.ts';
import { givenSeveralPages, type SeveralPages } from './several-pages.ts';

const FLAGS = { threads: 4, cores: 1 };

/** Runs the command, which dies in one of its system calls. */
async function killBy({ migration, invariants }: SeveralPages, options: RunOptions): Promise<void> {
  expect(await migration.run(FLAGS, options)).toMatchObject({ signal: 'SIGKILL' });
  await invariants.expectSound();
}

/** In which call of each start, so that each gets on a little further than the one before. */
test.each([
  ['migrate.log', 'write', [1, 2, 2, 1]],
  ['migrate.log', 'fsync', [1]],
  ['migrate.log', 'fdatasync', [1]],
  ['failed.log', 'write', [1, 2, 2, 1]],
  ['failed.log', 'fsync', [1]],
  ['failed.log', 'fdatasync', [1, 2, 1]],
  ['migrate.run.json.part', 'openat', [1, 2]],
  ['migrate.run.json.part', 'write', [1, 2]],
  ['migrate.run.json.part', 'fsync', [1, 2]],
  ['migrate.run.json.part', 'rename', [1, 2]],
])('P1: killed in the middle of recording: %s, %s', async (name, calls, whens) => {
  const pages = await givenSeveralPages();
  const paths = [pages.migration.path('logs', name)];
  for (const when of whens) {
    await killBy(pages, failing({ paths, calls, fault: 'signal=KILL', when }));
  }
  await pages.expectContinues();
});

test('P1: killed when the disk has taken half of a line of migrate.log', async () => {
  const pages = await givenSeveralPages();
  const paths = [pages.migration.path('logs', 'migrate.log')];
  const cutBack = failing({ paths, calls: 'ftruncate', fault: 'signal=KILL' });
  for (const bytes of [7001, 12_001, 17_001]) await killBy(pages, withFilesOf(bytes, cutBack));
  await pages.expectContinues();
});

test('P1: killed while the folder is locked', async () => {
  const pages = await givenSeveralPages();
  for (const when of [1, 2]) {
    await killBy(pages, failing({ paths: [], calls: 'rename', fault: 'signal=KILL', when }));
  }
  await pages.expectContinues();
});

test.each([4, 5])('P1: killed while a page that is early is kept (rename %i)', async (when) => {
  const pages = await givenSeveralPages();
  const { migration, toCopy } = pages;
  const { opened } = gate();
  migration.source.script
    .on('GetObject', toCopy[0])
    .before(() => opened)
    .times(1);
  // Two for the lock, one for the run's state; nothing else is recorded while the first object is slow.
  await killBy(pages, failing({ paths: [], calls: 'rename', fault: 'signal=KILL', when }));
  await pages.expectContinues();
});
