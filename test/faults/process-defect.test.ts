/**
 * P10: a defect of the program itself, where nobody catches it. It stops at once with what a report needs, the
 * exit code is none that says "finished", and what is recorded holds.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { givenSeveralPages } from './several-pages.ts';

const DEFECT = pathToFileURL(join(import.meta.dirname, '../support/planted-defect.js')).href;

const UNEXPECTED = 'unexpected error: planted: \\x1B[31mno such thing';
const OUT_OF_MEMORY = 'a worker thread has died: it ran out of memory';
const DEAD = 'a worker thread has died: planted: \\x1B[31mno such thing';

test.each([
  ['exception', 1, UNEXPECTED],
  ['rejection', 1, UNEXPECTED],
  ['exception', 2, UNEXPECTED],
  ['worker', 2, DEAD],
  ['memory', 2, OUT_OF_MEMORY],
])(
  'P10: what nobody catches (%s, %i cores) stops the run, which goes on exactly',
  async (kind, cores, message) => {
    const pages = await givenSeveralPages();
    const { migration, invariants } = pages;
    const { script } = migration.destination;
    script.on('PutObject').delay(5);
    const env = {
      NODE_OPTIONS: `--max-old-space-size=128 --import ${DEFECT}`,
      PLANTED_DEFECT: kind,
    };
    const program = migration.start({ threads: 8, cores }, { env });
    await program.reaches(script.seen('PutObject', 180));
    program.kill('SIGUSR2');

    const { exitCode, stderr } = await program.ended;

    expect(stderr).toContain(message);
    expect(stderr).toMatch(/This is a defect of s3migrate|report it/);
    expect(exitCode).toBe(3);
    const { migrate } = await invariants.expectSound();
    expect(migrate.length).toBeGreaterThan(0);
    script.clear();
    await pages.expectContinues();
  },
);

test('P10: a defect before anything is started is told in the same way', async () => {
  const { migration } = await givenSeveralPages();
  const { script } = migration.destination;
  script.on('HeadBucket').hang();
  const env = { NODE_OPTIONS: `--import ${DEFECT}`, PLANTED_DEFECT: 'rejection' };
  const program = migration.start({}, { env });
  await program.reaches(script.seen('HeadBucket', 1));
  program.kill('SIGUSR2');
  const { exitCode, stderr } = await program.ended;
  expect(stderr).toMatch(
    /^s3migrate: unexpected error: planted: .*\n {2}This is a defect of s3migrate/,
  );
  expect(stderr).toContain('planted-defect.js');
  expect(exitCode).toBe(3);
});
