/**
 * A migration without a network: source keys with a decision each, a plan over them that obeys the
 * contract of PlanPage, and transfers that answer at once. The record is tested against it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import type { DoneRange, Outcome, OutcomePage } from '../../src/domain.ts';
import type { ObjectKey } from '../../src/object-key.ts';
import { parseFailedLine, parseLogLine } from '../../src/record/log-lines.ts';
import type { RunFolder, RunFolderOptions } from '../../src/record/run-folder.ts';
import type { RunTotals } from '../../src/record/totals.ts';

export const A_TIME = Date.UTC(2024, 4, 1, 12);

export function optionsFor(folder: string, changes: Partial<RunFolderOptions> = {}) {
  return {
    folder,
    identity: { 'src-bucket': 'photos', 'dest-bucket': 'archive', 'hash-count': '1' },
    toolVersion: '0.1.0',
    now: () => A_TIME,
    ...changes,
  } satisfies RunFolderOptions;
}

export function key(text: string): ObjectKey {
  return Buffer.from(text, 'utf8').toString('latin1') as ObjectKey;
}

/** A copied object of ten bytes. */
export function copied(name: string | ObjectKey): Outcome {
  return { kind: 'copied', key: name as ObjectKey, bytes: 10, etag: 'e1', detail: 'md5' };
}

export function failed(name: string | ObjectKey, message = 'Access Denied.'): Outcome {
  const failure = { code: 'AccessDenied', status: 403, attempts: 2, side: 'source', at: A_TIME };
  return { kind: 'failed', key: name as ObjectKey, failure: { ...failure, message } as never };
}

/** The page of all keys after `after` and up to `last`. */
export function page(
  after: string,
  last: string,
  outcomes: readonly Outcome[] = [],
  counts: { ignored?: number; exists?: number } = {},
): OutcomePage {
  return {
    after: key(after),
    last: key(last),
    ignored: counts.ignored ?? 0,
    exists: counts.exists ?? 0,
    outcomes,
  };
}

/** Numbers from 0 to below 1; the same seed gives the same ones. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Keys of all bytes, with those a CSV file and a terminal stumble over made frequent. */
export function anyKey(): fc.Arbitrary<ObjectKey> {
  const byte = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('a', 'b', '/') },
    {
      weight: 2,
      arbitrary: fc.constantFrom(',', '"', '\\', '\n', '\r', '\0', ' ', '\xff', '\xc3'),
    },
    { weight: 1, arbitrary: fc.constantFrom('ð\x9f\x98\x80', 'Ã¤', '\\x41') },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }).map((b) => String.fromCharCode(b)) },
  );
  return fc.array(byte, { minLength: 1, maxLength: 6 }).map((bytes) => bytes.join('') as ObjectKey);
}

export interface ModelRun {
  /** Ascending; what is to become of each. */
  readonly keys: ReadonlyMap<ObjectKey, 'ignored' | 'exists' | 'transfer'>;
}

export function anyRun(): fc.Arbitrary<ModelRun> {
  const decision = fc.constantFrom('ignored', 'exists', 'transfer', 'transfer', 'transfer');
  return fc
    .uniqueArray(fc.tuple(anyKey(), decision), { selector: ([name]) => name, maxLength: 60 })
    .map((entries) => ({
      keys: new Map(entries.toSorted(([a], [b]) => (a < b ? -1 : 1))) as ModelRun['keys'],
    }));
}

export interface ModelPlan {
  readonly run: ModelRun;
  readonly start: ObjectKey;
  readonly doneRanges: readonly DoneRange[];
  readonly random: () => number;
}

/** Pages of random length from `start` to the end, none across the border of a done range. */
export function planPages({ run, start, doneRanges, random }: ModelPlan): OutcomePage[] {
  const keys = [...run.keys.keys()].filter((name) => name > start);
  const borders = new Set(doneRanges.flatMap(({ after, last }) => [after, last]));
  for (const name of keys) if (random() < 0.3) borders.add(name);
  const end = keys.at(-1);
  if (end !== undefined) borders.add(end);
  const pages: OutcomePage[] = [];
  let after = start;
  for (const last of [...borders].filter((border) => border > start).toSorted()) {
    const done = doneRanges.some((range) => range.after <= after && last <= range.last);
    const inside = keys.filter((name) => name > after && name <= last);
    const decided = (decision: string) => inside.filter((name) => run.keys.get(name) === decision);
    pages.push({
      after,
      last,
      ignored: decided('ignored').length,
      exists: decided('exists').length,
      outcomes: done ? [] : decided('transfer').map((name) => transfer(name, random)),
    });
    after = last;
  }
  return pages;
}

function transfer(name: ObjectKey, random: () => number): Outcome {
  const text = ['plain', 'with, comma', '"quoted"', 'line\nfeed', 'ümlaut \u{1f600}', '\\', ''];
  const detail = text[Math.floor(random() * text.length)] ?? '';
  const dice = random();
  if (dice < 0.5) {
    return { kind: 'copied', key: name, bytes: Math.floor(random() * 1e6), etag: 'ab-2', detail };
  }
  if (dice < 0.6) return { kind: 'skipped-download', key: name, detail };
  if (dice < 0.7) return { kind: 'skipped-upload', key: name, detail };
  return failed(name, detail);
}

/** Neighbours change places, up to `distance` pages away: the order in which transfers end. */
export function outOfOrder<T>(items: readonly T[], distance: number, random: () => number): T[] {
  return items
    .map((item, index) => ({ item, rank: index + random() * distance }))
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

export async function logLines(folder: string) {
  return (await linesOf(folder, 'migrate.log')).map((line) => parseLogLine(line));
}

export async function failedLines(folder: string) {
  return (await linesOf(folder, 'failed.log')).map((line) => parseFailedLine(line));
}

export async function linesOf(folder: string, name: string): Promise<string[]> {
  const text = await readFile(join(folder, name), 'latin1');
  if (!text.endsWith('\n')) throw new Error(`${name} does not end in a line feed`);
  return text.split('\n').slice(1, -1);
}

/** The totals that migrate.log itself says, with the keys the plan alone counts. */
export async function totalsByLog(folder: string, run: ModelRun): Promise<RunTotals> {
  const lines = await logLines(folder);
  const of = (kind: string) => lines.filter((line) => line?.kind === kind).length;
  const planned = (decision: string) =>
    [...run.keys.values()].filter((found) => found === decision).length;
  return {
    copied: of('copied'),
    bytes: lines.reduce((sum, line) => sum + (line?.bytes ?? 0), 0),
    skippedDownload: of('skipped-download'),
    skippedUpload: of('skipped-upload'),
    failed: of('failed'),
    ignored: planned('ignored'),
    exists: planned('exists'),
  };
}

/** Writes all pages, the checkpoints where the dice say. */
export async function writeAll(
  opened: RunFolder,
  pages: readonly OutcomePage[],
  random: () => number,
): Promise<void> {
  for (const each of pages) {
    await opened.write(each);
    if (random() < 0.15) await opened.checkpoint();
  }
}
