/**
 * P5: a disk that takes no more, in whatever way it says so. The run stops with what and where, nothing more is
 * written to the destination, and once the cause is gone the same command goes on exactly.
 */
import { readdir, rm, watch, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { gate } from '../cli/migration.ts';
import type { RunOptions } from '../support/run-s3migrate.ts';
import { failing, smallDisk, withFilesOf } from '../support/system-faults.ts';
import { givenSeveralPages, type SeveralPages } from './several-pages.ts';

const FLAGS = { threads: 4, cores: 1 };
const FREE_SPACE = 'Free space on that disk.';
const REMOVE_CAUSE = 'Remove the cause.';
/** What a file of any length takes on the small disk. */
const BLOCK_BYTES = 4096;

interface Stopped {
  readonly message: string;
  readonly hint: string;
  /** What share of all PUTs may have been sent, where that can be told; those under way are still finished. */
  readonly sentAtMost?: number;
}

/** The run stops by itself, tells what and where, and the next one is exact. */
async function expectStopsAndContinues(
  pages: SeveralPages,
  options: RunOptions,
  { message, hint, sentAtMost }: Stopped,
): Promise<void> {
  const { migration, invariants, toCopy } = pages;
  const { exitCode, stderr } = await migration.run(FLAGS, options);
  expect(stderr).toMatch(/^s3migrate: STOPPED after \d+s: /m);
  expect(stderr).toContain(`s: ${message}`);
  expect(stderr).toContain(`\n  next      ${hint}\n  then      give the same command again`);
  expect(stderr).not.toContain('each with its reason in failed.log');
  expect(exitCode).toBe(3);
  if (sentAtMost !== undefined) {
    const sent = migration.destination.script.count('PutObject');
    expect(sent).toBeLessThan(toCopy.length * sentAtMost);
  }
  await invariants.expectSound();
  expect(await readdir(migration.logFolder)).not.toContain('migrate.lock');
  await pages.expectContinues();
}

test.each([
  ['migrate.log', 'ENOSPC', 'ENOSPC: no space left on device', FREE_SPACE],
  ['migrate.log', 'EDQUOT', 'EDQUOT: disk quota exceeded', FREE_SPACE],
  ['migrate.log', 'EIO', 'EIO: i/o error', REMOVE_CAUSE],
  ['migrate.log', 'EROFS', 'EROFS: read-only file system', REMOVE_CAUSE],
  ['failed.log', 'ENOSPC', 'ENOSPC: no space left on device', FREE_SPACE],
  ['failed.log', 'EDQUOT', 'EDQUOT: disk quota exceeded', FREE_SPACE],
  ['failed.log', 'EIO', 'EIO: i/o error', REMOVE_CAUSE],
  ['failed.log', 'EROFS', 'EROFS: read-only file system', REMOVE_CAUSE],
])('P5: a write of %s that fails with %s stops the run', async (log, error, text, hint) => {
  const pages = await givenSeveralPages();
  const path = pages.migration.path('logs', log);
  // The first write is the header.
  const options = failing({ paths: [path], calls: 'write', fault: `error=${error}`, when: '2+' });
  const message = `${path}: cannot be written: ${text}`;
  await expectStopsAndContinues(pages, options, { message, hint, sentAtMost: 0.75 });
});

test('P5: one write that fails is enough: the one after it would leave a gap in the log', async () => {
  const pages = await givenSeveralPages();
  const path = pages.migration.path('logs', 'migrate.log');
  const options = failing({ paths: [path], calls: 'write', fault: 'error=EIO', when: 3 });
  const message = `${path}: cannot be written`;
  await expectStopsAndContinues(pages, options, { message, hint: REMOVE_CAUSE });
});

test('P5: a write cut short that cannot be taken back leaves a torn line, which the next start drops', async () => {
  const pages = await givenSeveralPages();
  const path = pages.migration.path('logs', 'migrate.log');
  const cutBack = failing({ paths: [path], calls: 'ftruncate', fault: 'error=EIO' });
  // In the middle of a line of the second page.
  const options = withFilesOf(7001, cutBack);
  const message = `${path}: cannot be written: EFBIG`;
  await expectStopsAndContinues(pages, options, { message, hint: FREE_SPACE });
});

test.each([
  ['migrate.log', 'error=EIO', 'EIO: i/o error', REMOVE_CAUSE],
  ['failed.log', 'error=ENOSPC', 'ENOSPC: no space left on device', FREE_SPACE],
])('P5: a sync of %s that fails (%s) stops the run', async (log, fault, text, hint) => {
  const pages = await givenSeveralPages();
  const path = pages.migration.path('logs', log);
  const options = failing({ paths: [path], calls: 'fdatasync', fault });
  const message = `${path}: cannot be written: ${text}`;
  await expectStopsAndContinues(pages, options, { message, hint });
});

test.each([
  ['openat', 'error=EROFS', 'EROFS', REMOVE_CAUSE],
  ['write', 'error=ENOSPC', 'ENOSPC', FREE_SPACE],
  ['fsync', 'error=EIO', 'EIO', REMOVE_CAUSE],
  ['rename', 'error=EIO', 'EIO', REMOVE_CAUSE],
])(
  "P5: the run's state that cannot be renewed (%s: %s) stops the run",
  async (calls, fault, code, hint) => {
    const pages = await givenSeveralPages();
    const path = pages.migration.path('logs', 'migrate.run.json');
    // The first time is before anything is started.
    const options = failing({ paths: [`${path}.part`], calls, fault, when: '2+' });
    const message = `${path}: cannot be written: ${code}`;
    await expectStopsAndContinues(pages, options, { message, hint });
  },
);

test('P5: a page done before its turn that the disk has no room for stops the run', async () => {
  const pages = await givenSeveralPages();
  const { migration, toCopy } = pages;
  const ahead = migration.path('logs', 'migrate.ahead');
  // Room for the first half of a page.
  const disk = await smallDisk(ahead, BLOCK_BYTES);
  const { opened, open } = gate();
  const { script } = migration.source;
  script
    .on('GetObject', toCopy[0])
    .before(() => opened)
    .times(1);
  const begun = migration.start(FLAGS);
  // The page is begun, cannot be finished, and is removed again.
  await begun.reaches(changesIn(ahead, 2));
  open();
  const { exitCode, stderr } = await begun.ended;
  expect(stderr).toMatch(new RegExp(`: ${ahead}/\\S+\\.page: cannot be written: ENOSPC`));
  expect(stderr).toContain(FREE_SPACE);
  expect(exitCode).toBe(3);
  expect(await readdir(ahead)).toEqual([]);
  await pages.invariants.expectSound();
  disk.resize(64 * BLOCK_BYTES);
  await pages.expectContinues();
});

/** Resolves when so many files have been made or removed in a folder. */
async function changesIn(folder: string, count: number): Promise<void> {
  let seen = 0;
  for await (const { eventType } of watch(folder)) {
    if (eventType === 'rename' && ++seen === count) return;
  }
}

test('P5: on a disk that is full again and again every start goes as far as there is room, and is exact', async () => {
  const pages = await givenSeveralPages();
  const { migration, invariants } = pages;
  const blocks = 32;
  await smallDisk(migration.logFolder, blocks * BLOCK_BYTES);
  const ballast = migration.path('logs', 'ballast');
  const exitCodes: (number | undefined)[] = [];
  for (let taken = blocks; taken > 0 && !exitCodes.includes(1); taken--) {
    await rm(ballast, { force: true });
    await fill(ballast, taken);
    const { exitCode, stderr } = await migration.run(FLAGS);
    exitCodes.push(exitCode);
    if (exitCode !== 1) expect(stderr).toMatch(/^s3migrate: .*ENOSPC: no space left on device/m);
    await invariants.expectSound();
  }
  // Not even a lock; not all of a log; all.
  expect(new Set(exitCodes)).toEqual(new Set([2, 3, 1]));
  await pages.expectAllRecorded();
});

/** Takes so many blocks, or as many as there are. */
async function fill(path: string, blocks: number): Promise<void> {
  await writeFile(path, Buffer.alloc(blocks * BLOCK_BYTES)).catch(() => {});
}
