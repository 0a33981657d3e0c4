/**
 * P3 and P4: what a loss of power leaves of the logs, and what no crash leaves. A torn end is dropped and made
 * good, whatever the file ends in; no key is passed over.
 *
 * Every offset of every file is for test/record and `npm run torture`; here are some, from end to end.
 */
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { gate } from '../cli/migration.ts';
import { readLogs } from './invariants.ts';
import { givenSeveralPages, type SeveralPages } from './several-pages.ts';

const FLAGS = { threads: 4, cores: 1 };
const NULS = Buffer.alloc(5000);
const NO_BYTES = Buffer.alloc(0);

/** A folder and a destination as they are when the power fails, to come back to. */
class Outage {
  readonly #pages: SeveralPages;
  readonly #copy: string;
  readonly #stored: ReadonlySet<string>;

  private constructor(pages: SeveralPages, copy: string) {
    this.#pages = pages;
    this.#copy = copy;
    this.#stored = new Set(pages.migration.destination.bucket.keys());
  }

  /** In the third of four pages; the logs are as the process had written them. */
  static async of(pages: SeveralPages): Promise<Outage> {
    const { migration } = pages;
    const rule = migration.destination.script.on('PutObject').skip(200).times(1);
    rule.before(() => program.kill('SIGKILL')).disconnect();
    const program = migration.start(FLAGS);
    expect(await program.ended).toMatchObject({ signal: 'SIGKILL' });
    const copy = migration.path('at-the-outage');
    await cp(migration.logFolder, copy, { recursive: true });
    return new Outage(pages, copy);
  }

  /** Everything is as it was then. */
  async comeBack(): Promise<void> {
    const { migration } = this.#pages;
    const { bucket } = migration.destination;
    for (const key of bucket.keys()) if (!this.#stored.has(key)) bucket.delete(key);
    await rm(migration.logFolder, { recursive: true });
    await cp(this.#copy, migration.logFolder, { recursive: true });
  }
}

/** Offsets into the header, the first line, a line in the middle, and around the ends of the last lines. */
function offsetsIn(bytes: Buffer): number[] {
  const lines = [...bytes.keys()].filter((at) => bytes[at] === 0x0a).map((at) => at + 1);
  const [header = 0] = lines;
  const middle = lines[Math.floor(lines.length / 2)] as number;
  const last = lines.at(-2) as number;
  return [0, 7, header, header + 9, middle, middle + 20, last, last + 1, bytes.length - 1];
}

test.each([
  ['migrate.log', 'nothing', NO_BYTES],
  ['migrate.log', 'NULs', NULS],
  ['failed.log', 'nothing', NO_BYTES],
  ['failed.log', 'NULs', NULS],
])('P3: %s cut anywhere, with %s behind, loses no key', async (log, _, tail) => {
  const pages = await givenSeveralPages();
  const outage = await Outage.of(pages);
  const path = pages.migration.path('logs', log);
  const whole = await readFile(path);
  for (const offset of offsetsIn(whole)) {
    await outage.comeBack();
    await writeFile(path, Buffer.concat([whole.subarray(0, offset), tail]));
    await pages.expectContinues(FLAGS);
  }
});

test('P3: pages that were early, cut anywhere or gone, lose no key', async () => {
  const pages = await givenSeveralPages();
  const { migration, toCopy } = pages;
  const { opened } = gate();
  migration.source.script
    .on('GetObject', toCopy[0])
    .before(() => opened)
    .times(1);
  const outage = await Outage.of(pages);
  const ahead = migration.path('logs', 'migrate.ahead');
  const [name = '', ...others] = await readdir(ahead);
  expect([name, ...others]).toEqual([expect.stringMatching(/\.page$/)]);
  const whole = await readFile(join(ahead, name));
  for (const offset of [0, 4, 200, whole.length - 100, whole.length - 1]) {
    for (const tail of [NO_BYTES, NULS]) {
      await outage.comeBack();
      await writeFile(join(ahead, name), Buffer.concat([whole.subarray(0, offset), tail]));
      await pages.expectContinues(FLAGS);
    }
  }
  await outage.comeBack();
  await rm(join(ahead, name));
  await pages.expectContinues(FLAGS);
});

test('P3: both logs cut at once lose no key', async () => {
  const pages = await givenSeveralPages();
  const outage = await Outage.of(pages);
  for (const [logBytes, failedBytes] of [
    [3000, 150],
    [0, 0],
    [9000, 400],
  ] as const) {
    await outage.comeBack();
    await truncate(pages.migration.path('logs', 'migrate.log'), logBytes);
    await truncate(pages.migration.path('logs', 'failed.log'), failedBytes);
    await pages.expectContinues(FLAGS);
  }
});

test("P3: without the run's state the logs are not guessed at", async () => {
  const pages = await givenSeveralPages();
  await Outage.of(pages);
  const { migration } = pages;
  await rm(migration.path('logs', 'migrate.run.json'));
  const { exitCode, stderr } = await migration.run();
  expect(stderr).toMatch(/migrate\.log: is a log of another run.*\n {2}.*--start-after/);
  expect(exitCode).toBe(2);
});

test('P4: a failed.log that has lost its last lines is told of and made good from migrate.log', async () => {
  const pages = await givenSeveralPages();
  const { migration, failing } = pages;
  expect(await migration.run(FLAGS)).toMatchObject({ exitCode: 1 });
  const path = join(migration.logFolder, 'failed.log');
  const lines = (await readFile(path, 'latin1')).split('\n');
  await writeFile(path, `${lines.slice(0, 7).join('\n')}\n`, 'latin1');

  const { exitCode, stderr } = await migration.run(FLAGS);

  const lost = failing.length - 6;
  expect(stderr).toContain(`failed.log: lines at its end were missing (${lost})`);
  expect(exitCode).toBe(1);
  const { failed } = await pages.expectAllRecorded();
  expect(failed.at(-1)).toMatchObject({ code: 'InvalidObjectState', attempts: '0' });
});

test('P4: a line taken out of the middle of failed.log is told of', async () => {
  const pages = await givenSeveralPages();
  const { migration, failing } = pages;
  expect(await migration.run(FLAGS)).toMatchObject({ exitCode: 1 });
  const path = join(migration.logFolder, 'failed.log');
  const lines = (await readFile(path, 'latin1')).split('\n');
  await writeFile(path, lines.toSpliced(5, 1).join('\n'), 'latin1');

  const { exitCode, stderr } = await migration.run(FLAGS);

  expect(stderr).toContain(
    `failed.log: its lines (${failing.length - 1}) are not as many as the failed keys of migrate.log (${failing.length})`,
  );
  expect(exitCode).toBe(1);
  // What is left of it is not touched.
  const { failed } = await readLogs(migration.logFolder);
  expect(failed.map(({ key }) => key)).toEqual(failing.toSpliced(4, 1));
});
