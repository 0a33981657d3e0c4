/**
 * The power-loss model: whatever is left of the files of a log folder, the same command goes on with it and every
 * key is recorded once; or it is refused by the name of the file, where no crash leaves such a thing.
 *
 * Each file that a real run has left is cut at every byte, with nothing and with NULs behind. That is resumed by
 * the record stage, which alone reads those files; a sample by the built program.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, inject, it } from 'vitest';
import type { Outcome, OutcomePage } from '../../src/domain.ts';
import { MigrateError } from '../../src/errors.ts';
import type { ObjectKey } from '../../src/object-key.ts';
import { openRunFolder, peekRunFolder, type RunFolder } from '../../src/record/run-folder.ts';
import { type Logs, readLogs } from '../faults/invariants.ts';
import { A_TIME, copied, failed } from '../record/model-run.ts';
import { runs } from '../support/random-runs.ts';
import { Dice } from './dice.ts';
import {
  FATES,
  type Fate,
  FLAGS,
  filesOf,
  type Recorded,
  recordFolders,
  restoreDestination,
} from './recorded-folders.ts';

/** Replaced as a whole and synced: no crash leaves a part of it. */
const RUN_FILE = 'migrate.run.json';
const REFUSAL = `${RUN_FILE}: cannot be understood`;
const TAILS = [Buffer.alloc(0), Buffer.alloc(700)];
const now = (): number => A_TIME;
const MINUTES_MS = 10 * 60_000;

interface Cut {
  readonly file: string;
  /** Bytes that are left. */
  readonly at: number;
  /** What is behind them. */
  readonly tail: Buffer;
}

/** Folders come and go by the thousand: in memory, where there is such a file system. */
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 's3migrate-cuts-'));
afterAll(() => rmSync(root, { recursive: true }));

it(
  'each file cut at every byte, alone: no key is lost, and none recorded twice',
  async () => {
    for (const state of await recordFolders()) {
      const image = await Image.of(state);
      let refused = 0;
      for (const cut of image.everyCut()) if (!(await resumes(image, [cut]))) refused++;
      // All of them are of the one file, and only its line feed may be missing.
      expect(refused).toBe(2 * image.bytesOf(RUN_FILE).length - 1);
    }
  },
  MINUTES_MS,
);

it(
  'several files cut at once, anywhere: no key is lost, and none recorded twice',
  async () => {
    const dice = new Dice(inject('tortureSeed'));
    for (const state of await recordFolders()) {
      const image = await Image.of(state);
      const files = image.files.filter((file) => file !== RUN_FILE);
      for (let times = 0; times < runs(200); times++) {
        const cuts = dice.some(files, dice.whole(2, files.length)).map((file) => {
          const at = dice.whole(0, image.bytesOf(file).length);
          return { file, at, tail: dice.of(TAILS) };
        });
        expect(await resumes(image, cuts), JSON.stringify(cuts)).toBe(true);
      }
    }
  },
  MINUTES_MS,
);

it(
  'the built program goes on with what is left, and copies what is missing',
  async () => {
    const dice = new Dice(inject('tortureSeed'));
    for (const state of await recordFolders()) {
      const image = await Image.of(state);
      for (let times = 0; times < runs(4); times++) {
        const cuts = dice.some(image.files, dice.whole(1, 2)).map((file) => {
          const at = dice.whole(0, image.bytesOf(file).length - 1);
          return { file, at, tail: dice.of(TAILS) };
        });
        await runProgram(state, image, cuts);
      }
    }
  },
  MINUTES_MS,
);

/** The files of a recorded folder, to be put anywhere with some of them cut. */
class Image {
  readonly files: readonly string[];
  readonly #bytes: ReadonlyMap<string, Buffer>;

  private constructor(bytes: ReadonlyMap<string, Buffer>) {
    this.#bytes = bytes;
    this.files = [...bytes.keys()];
  }

  static async of({ folder }: Recorded): Promise<Image> {
    const files = await filesOf(folder);
    return new Image(new Map(files.map((file) => [file, readFileSync(join(folder, file))])));
  }

  bytesOf(file: string): Buffer {
    return this.#bytes.get(file) ?? Buffer.alloc(0);
  }

  *everyCut(): Generator<Cut> {
    for (const [file, { length }] of this.#bytes) {
      for (let at = 0; at < length; at++) for (const tail of TAILS) yield { file, at, tail };
    }
  }

  write(folder: string, cuts: readonly Cut[], files = this.files): void {
    for (const file of files) {
      const bytes = this.bytesOf(file);
      const cut = cuts.find((one) => one.file === file);
      const path = join(folder, file);
      mkdirSync(dirname(path), { recursive: true });
      const left = cut === undefined ? bytes : Buffer.concat([bytes.subarray(0, cut.at), cut.tail]);
      writeFileSync(path, left, { mode: 0o600 });
    }
  }

  /** Whole lines before the cut: nothing of them may change. */
  linesLeft(file: string, cuts: readonly Cut[]): Buffer {
    const bytes = this.bytesOf(file);
    const left = bytes.subarray(0, cuts.find((cut) => cut.file === file)?.at);
    return left.subarray(0, left.lastIndexOf('\n') + 1);
  }
}

/** @returns false when it was refused, by the name of a file that was cut and that no crash cuts */
async function resumes(image: Image, cuts: readonly Cut[]): Promise<boolean> {
  const folder = join(root, 'logs');
  const [first, second] = cuts;
  if (first?.file === RUN_FILE && second === undefined && (await isRefused(image, first)))
    return false;
  rmSync(folder, { recursive: true, force: true });
  image.write(folder, cuts);
  try {
    const { totals, logs } = await goOn(folder, identityIn(image));
    expectFates(logs);
    const left = image.linesLeft('migrate.log', cuts);
    expect(readFileSync(join(folder, 'migrate.log')).subarray(0, left.length)).toEqual(left);
    const of = (outcome: Fate): number =>
      logs.migrate.filter((line) => line.outcome === outcome).length;
    expect(totals).toMatchObject({
      copied: of('copied'),
      skippedDownload: of('skipped-download'),
      skippedUpload: of('skipped-upload'),
      failed: of('failed'),
    });
    return true;
  } catch (error) {
    if (!(error instanceof MigrateError)) throw withCuts(error, cuts);
    expect(cuts.map(({ file }) => file)).toContain(RUN_FILE);
    expect(error).toMatchObject({ exitCode: 2, message: expect.stringContaining(REFUSAL) });
    return false;
  }
}

/** Of the file that is read before all others: to look is enough, and quicker than to open. */
async function isRefused(image: Image, cut: Cut): Promise<boolean> {
  const folder = join(root, 'looked-at');
  image.write(folder, [cut], [RUN_FILE]);
  try {
    await peekRunFolder({ folder, identity: identityIn(image), toolVersion: '0.1.0', now });
    return false;
  } catch (error) {
    // The logs are not there: a run file that can be understood is refused for another reason.
    return error instanceof MigrateError && error.message.includes(REFUSAL);
  }
}

function withCuts(error: unknown, cuts: readonly Cut[]): Error {
  const where = cuts.map(
    ({ file, at, tail }) => `${file} cut at ${at}, ${tail.length} NULs behind`,
  );
  return new Error(where.join('; '), { cause: error });
}

function identityIn(image: Image): Record<string, string> {
  return JSON.parse(image.bytesOf(RUN_FILE).toString()).identity as Record<string, string>;
}

/** What a migration of these keys does with a folder, without a network. */
async function goOn(folder: string, identity: Record<string, string>) {
  const opened = await openRunFolder({
    folder,
    identity,
    toolVersion: '0.1.0',
    now,
  });
  if (opened.state !== 'complete') for (const page of pagesFor(opened)) await opened.write(page);
  const totals = await opened.close({ complete: true });
  return { totals, logs: await readLogs(folder) };
}

/** One page between any two borders of what is done. */
function pagesFor({ start, doneRanges }: RunFolder): OutcomePage[] {
  const end = 'l' as ObjectKey;
  const borders = [...new Set([...doneRanges.flatMap(({ after, last }) => [after, last]), end])];
  let after = start;
  return borders
    .filter((border) => border > start)
    .toSorted()
    .map((last) => {
      const isDone = doneRanges.some((range) => range.after <= after && last <= range.last);
      const keys = isDone ? [] : [...FATES.keys()].filter((key) => key > after && key <= last);
      const page = { after, last, ignored: 0, exists: 0, outcomes: keys.map(outcomeOf) };
      after = last;
      return page;
    });
}

function outcomeOf(name: string): Outcome {
  const key = name as ObjectKey;
  const fate = FATES.get(name) as Fate;
  switch (fate) {
    case 'copied':
      return copied(key);
    case 'failed':
      return failed(key);
    case 'skipped-download':
    case 'skipped-upload':
      return { kind: fate, key, detail: 'as it was' };
  }
}

async function runProgram(state: Recorded, image: Image, cuts: readonly Cut[]): Promise<void> {
  const { migration, invariants } = state;
  restoreDestination(state);
  await rm(migration.logFolder, { recursive: true, force: true });
  image.write(migration.logFolder, cuts);
  const { exitCode, stderr } = await migration.run(FLAGS);
  const about = `${JSON.stringify(cuts.map(({ file, at }) => [file, at]))} ${stderr}`;
  if (cuts.some(({ file }) => file === RUN_FILE)) {
    expect([exitCode, stderr.includes(`${RUN_FILE}: cannot be understood`)], about).toEqual([
      2,
      true,
    ]);
    return;
  }
  expect(exitCode, about).toBe(1);
  expectFates(await invariants.expectComplete());
}

/** Each key is recorded once, in order, and as what it had to become. */
function expectFates({ migrate, failed }: Logs): void {
  expect(migrate.map(({ key }) => key)).toEqual([...FATES.keys()]);
  const others = migrate.filter(({ key, outcome }) => !mayBe(FATES.get(key) as Fate, outcome));
  expect(others).toEqual([]);
  expect(failed.map(({ key }) => key)).toEqual(
    [...FATES].filter(([, fate]) => fate === 'failed').map(([key]) => key),
  );
}

/** What was copied before the start that has recorded it was found again by that. */
function mayBe(fate: Fate, outcome: string): boolean {
  return outcome === fate || (fate === 'copied' && outcome === 'skipped-upload');
}
