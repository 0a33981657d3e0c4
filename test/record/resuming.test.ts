/**
 * The laws of resuming: whatever is left of a log folder, the runs after it record every key once.
 */
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import type { RunFolder } from '../../src/record/run-folder.ts';
import { openRunFolder, peekRunFolder } from '../../src/record/run-folder.ts';
import {
  anyRun,
  failedLines,
  logLines,
  type ModelRun,
  optionsFor,
  outOfOrder,
  planPages,
  randomFrom,
  totalsByLog,
  writeAll,
} from './model-run.ts';

let root: string;
let folders = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'resuming-'));
});
afterAll(() => rm(root, { recursive: true }));

/** What kill -9 at this moment leaves: a copy of the folder, whose owner is gone. */
async function killed(opened: RunFolder, folder: string): Promise<string> {
  const left = join(root, String(folders++));
  await cp(folder, left, { recursive: true });
  await rm(join(left, 'migrate.lock'));
  await opened.close({ complete: false });
  return left;
}

/** Cuts a file anywhere, puts NULs where data was, or appends NULs: what power losses leave. */
async function damageFile(path: string, from: number, random: () => number): Promise<void> {
  const bytes = await readFile(path);
  const at = from + Math.floor(random() * (bytes.length - from + 1));
  switch (Math.floor(random() * 4)) {
    case 0:
      return;
    case 1:
      return await truncate(path, at);
    case 2:
      return await writeFile(
        path,
        Buffer.concat([bytes.subarray(0, at), Buffer.alloc(Math.floor(random() * 5000))]),
      );
    default:
      return await writeFile(
        path,
        bytes.fill(0, at, Math.min(bytes.length, at + Math.floor(random() * 200))),
      );
  }
}

async function damagePages(folder: string, random: () => number): Promise<void> {
  const directory = join(folder, 'migrate.ahead');
  for (const name of await readdir(directory)) {
    if (random() < 0.3) await damageFile(join(directory, name), 0, random);
  }
}

async function syncedBytes(folder: string): Promise<number> {
  const run = JSON.parse(await readFile(join(folder, 'migrate.run.json'), 'utf8'));
  return run.checkpoint.logBytes;
}

interface Story {
  readonly run: ModelRun;
  readonly seed: number;
  readonly kills: number;
  readonly afterKill: (folder: string, random: () => number) => Promise<void>;
  /** Called with every start. */
  readonly onStart?: (opened: RunFolder) => void;
  /** Called with every key whose page was written. */
  readonly onRecorded?: (key: ObjectKey) => void;
}

/** Runs, is killed, runs again, to the end. */
async function live({ run, seed, kills, afterKill, onStart, onRecorded }: Story) {
  const random = randomFrom(seed);
  let folder = join(root, String(folders++));
  for (let start = 0; ; start++) {
    const peeked = await peekRunFolder(optionsFor(folder));
    const opened = await openRunFolder(optionsFor(folder));
    expect(peeked).toEqual({
      state: opened.state,
      start: opened.start,
      doneRanges: opened.doneRanges,
    });
    if (opened.state === 'complete') {
      return { folder, totals: await opened.close({ complete: true }) };
    }
    onStart?.(opened);
    const pages = outOfOrder(
      planPages({ run, start: opened.start, doneRanges: opened.doneRanges, random }),
      random() * 12,
      random,
    );
    const count = start === kills ? pages.length : Math.floor(random() * (pages.length + 1));
    await writeAll(opened, pages.slice(0, count), random);
    for (const { outcomes } of pages.slice(0, count)) {
      for (const { key } of outcomes) onRecorded?.(key);
    }
    if (start === kills) {
      return { folder, totals: await opened.close({ complete: true }) };
    }
    folder = await killed(opened, folder);
    await afterKill(folder, random);
  }
}

async function expectEveryKeyOnce(folder: string, run: ModelRun): Promise<void> {
  const expected = [...run.keys].filter(([, decision]) => decision === 'transfer');
  const lines = await logLines(folder);
  expect(lines.map((line) => line?.key)).toEqual(expected.map(([key]) => key));
  const failedKeys = lines.filter((line) => line?.kind === 'failed').map((line) => line?.key);
  expect((await failedLines(folder)).map((line) => line?.key)).toEqual(failedKeys);
  expect(await readdir(folder)).not.toContain('migrate.ahead');
}

const story = {
  run: anyRun(),
  seed: fc.integer(),
  kills: fc.integer({ min: 0, max: 4 }),
};

describe('after any number of starts', () => {
  it('every key is recorded once and the totals are exact, killed between any two pages', async () => {
    await fc.assert(
      fc.asyncProperty(fc.record(story), async (chosen) => {
        const times = new Map<ObjectKey, number>();
        const { folder, totals } = await live({
          ...chosen,
          afterKill: async () => {},
          onStart: ({ warnings }) => expect(warnings).toEqual([]),
          onRecorded: (key) => times.set(key, (times.get(key) ?? 0) + 1),
        });
        await expectEveryKeyOnce(folder, chosen.run);
        expect(totals).toEqual(await totalsByLog(folder, chosen.run));
        // What was once handed to the record is never transferred again.
        expect([...times.values()].every((count) => count === 1)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('the same holds when a power loss takes or blanks what was not synced', async () => {
    await fc.assert(
      fc.asyncProperty(fc.record(story), async (chosen) => {
        const { folder, totals } = await live({
          ...chosen,
          async afterKill(left, random) {
            await damageFile(join(left, 'migrate.log'), await syncedBytes(left), random);
            await damagePages(left, random);
          },
          onStart: ({ warnings }) => expect(warnings).toEqual([]),
        });
        await expectEveryKeyOnce(folder, chosen.run);
        expect(totals).toEqual(await totalsByLog(folder, chosen.run));
      }),
      { numRuns: 40 },
    );
  });

  it('the same holds when the logs are cut at any byte, also before the checkpoint', async () => {
    await fc.assert(
      fc.asyncProperty(fc.record(story), async (chosen) => {
        const { folder, totals } = await live({
          ...chosen,
          async afterKill(left, random) {
            for (const name of ['migrate.log', 'failed.log']) {
              const { length } = await readFile(join(left, name));
              if (random() < 0.7) await truncate(join(left, name), Math.floor(random() * length));
              if (random() < 0.5) {
                const rest = await readFile(join(left, name));
                await writeFile(join(left, name), Buffer.concat([rest, Buffer.alloc(3000)]));
              }
            }
          },
        });
        await expectEveryKeyOnce(folder, chosen.run);
        expect(totals).toEqual(await totalsByLog(folder, chosen.run));
      }),
      { numRuns: 40 },
    );
  });
});
