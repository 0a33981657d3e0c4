/**
 * Finds out what the runs so far have left in a log folder, and what of it can be trusted.
 *
 * It reads only. Opening a folder then carries out what {@link Recovery} says; `--dry-run` does not.
 * It reads what comes after the checkpoint of migrate.run.json and the pages in migrate.ahead/, not
 * the logs from their beginning, unless a log does not fit the checkpoint: then that log was cut or
 * edited, and everything is counted anew.
 */
import { constants } from 'node:fs';
import { join } from 'node:path';
import type { DoneRange } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import { BEFORE_ALL, displayKey, type ObjectKey } from '../object-key.ts';
import { AHEAD_DIRECTORY, type AheadFile, listAheadFiles, readAheadFile } from './ahead-pages.ts';
import { openRegular, refuseUnlessDirectory } from './disk.ts';
import {
  count,
  FAILED_HEADER,
  LOG_HEADER,
  type LogRecord,
  type PageRecords,
  parseFailedLine,
  parseLogLine,
  recordsAfter,
} from './log-lines.ts';
import { headerOf, lineEndsAt, type Scan, scanLog } from './log-scan.ts';
import { type Checkpoint, RUN_FILE, type RunRecord } from './run-file.ts';
import { addTotals, type ErrorClass, ErrorTally, NO_TOTALS, type RunTotals } from './totals.ts';

export const MIGRATE_LOG = 'migrate.log';
export const FAILED_LOG = 'failed.log';

/** A range of keys that is done, and the pages in migrate.ahead/ that go to the logs when it is reached. */
export interface RecoveredRange extends DoneRange {
  readonly files: readonly AheadFile[];
}

/** One log as it is to be continued. */
interface LogState {
  /** Bytes to keep; 0: begin it anew with its header. */
  readonly end: number;
  /** Key of the last line kept. */
  readonly last: ObjectKey | undefined;
}

export interface Recovery {
  readonly state: 'resumed' | 'complete';
  /** Where to count from: the file's checkpoint, or the beginning when migrate.log does not fit it. */
  readonly checkpoint: Checkpoint;
  readonly log: LogState;
  readonly failed: LogState;
  /** What failed.log has lost at its end, to be read with {@link lostFailures}. */
  readonly lost: LostFailures | undefined;
  /** Key of the last line of failed.log once that is made good. */
  readonly lastFailed: ObjectKey | undefined;
  /** Ascending and disjoint; none touches another. */
  readonly ranges: readonly RecoveredRange[];
  /** Files of migrate.ahead/ that are of no use any more. */
  readonly useless: readonly string[];
  /** Up to the checkpoint, and what migrate.log holds after it. */
  readonly logged: RunTotals;
  /** The failures among them. */
  readonly errors: readonly ErrorClass[];
  /** What is in the files of `ranges`. */
  readonly ahead: RunTotals;
  /** One sentence each: what was found that no crash of this program explains. */
  readonly warnings: readonly string[];
}

/** @throws MigrateError (2) when a log is missing, damaged before its end, or no regular file */
export async function recover(folder: string, record: RunRecord): Promise<Recovery> {
  const warnings: string[] = [];
  const log = await examineLog(folder, record, warnings);
  const failed = await examineFailedLog(folder, record, log);
  const errors = new ErrorTally(failed.errors);
  const missing = log.totals.failed - failed.lines;
  let rebuilt = 0;
  let lastFailed = failed.last;
  let lost: LostFailures | undefined;
  if (missing > 0) {
    lost = {
      path: join(folder, MIGRATE_LOG),
      logAfter: record.startAfter,
      logEnd: log.end,
      after: failed.last ?? BEFORE_ALL,
    };
    for await (const failures of lostFailures(lost)) {
      rebuilt += failures.length;
      for (const { key, detail } of failures) errors.add(detail, { key, message: '' });
      lastFailed = failures.at(-1)?.key ?? lastFailed;
    }
  }
  if (rebuilt > 0) {
    warnings.push(
      `${join(folder, FAILED_LOG)}: lines at its end were missing (${rebuilt}); they are made again from ${MIGRATE_LOG}, without their messages`,
    );
  }
  if (rebuilt !== missing) {
    warnings.push(
      `${join(folder, FAILED_LOG)}: its lines (${failed.lines + rebuilt}) are not as many as the failed keys of ${MIGRATE_LOG} (${log.totals.failed})`,
    );
  }
  const { upTo } = log.checkpoint;
  const reached = log.last !== undefined && log.last > upTo ? log.last : upTo;
  return {
    state: record.state === 'complete' && log.asRecorded ? 'complete' : 'resumed',
    checkpoint: log.checkpoint,
    log,
    failed,
    lost: rebuilt > 0 ? lost : undefined,
    lastFailed,
    ...(await recoverAhead({ folder, run: record.run, upTo, reached })),
    logged: log.totals,
    errors: errors.classes(),
    warnings,
  };
}

/** What a run has recorded at its very beginning. */
export function beginning(startAfter: ObjectKey): Checkpoint {
  return {
    upTo: startAfter,
    logBytes: LOG_HEADER.length,
    lastLogged: undefined,
    failedBytes: FAILED_HEADER.length,
    lastFailed: undefined,
    totals: NO_TOTALS,
    errors: [],
  };
}

interface ExaminedLog extends LogState {
  /** The recorded one, or the beginning when the log does not fit it. */
  readonly checkpoint: Checkpoint;
  readonly fits: boolean;
  /** Whether the log fits the recorded checkpoint and has nothing after it. */
  readonly asRecorded: boolean;
  readonly totals: RunTotals;
}

async function examineLog(
  folder: string,
  { checkpoint: recorded, startAfter }: RunRecord,
  warnings: string[],
): Promise<ExaminedLog> {
  const path = join(folder, MIGRATE_LOG);
  // The header is written after migrate.run.json: a run may have been killed between the two.
  const mayLackHeader = recorded.lastLogged === undefined;
  const headless = (checkpoint: Checkpoint): ExaminedLog => ({
    checkpoint,
    fits: mayLackHeader,
    asRecorded: false,
    end: 0,
    last: undefined,
    totals: checkpoint.totals,
  });
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) {
    if (mayLackHeader) return headless(recorded);
    throw new MigrateError(
      `${path}: is missing, but ${RUN_FILE} says it had ${recorded.logBytes} bytes`,
      { exitCode: 2, hint: 'Bring it back, or give another --log-folder.' },
    );
  }
  try {
    const fits = await lineEndsAt({
      file,
      offset: recorded.logBytes,
      key: recorded.lastLogged,
      header: LOG_HEADER,
      parse: parseLogLine,
    });
    if (!fits && !mayLackHeader) {
      const { size } = await file.stat();
      warnings.push(
        `${path} (${size} bytes) does not hold the ${recorded.logBytes} bytes ${RUN_FILE} says were written; what it lacks is transferred again`,
      );
    }
    const header = await headerOf(file, LOG_HEADER);
    if (header === 'foreign') throw foreign(path, LOG_HEADER);
    if (header === 'torn') return headless(mayLackHeader ? recorded : beginning(startAfter));
    const checkpoint = fits ? recorded : beginning(startAfter);
    const totals = { ...checkpoint.totals };
    const scan = await scanLog({
      file,
      from: checkpoint.logBytes,
      after: checkpoint.lastLogged ?? startAfter,
      parse: parseLogLine,
      visit(line) {
        count(totals, line);
        return 'go on';
      },
    });
    // What comes after the checkpoint was never synced: a power loss may leave anything there.
    if (!fits && scan.rest === 'damaged') throw damaged(path, scan);
    return {
      checkpoint,
      fits,
      asRecorded: fits && scan.lines === 0,
      end: scan.end,
      last: scan.lines === 0 ? checkpoint.lastLogged : scan.last,
      totals,
    };
  } finally {
    await file.close();
  }
}

interface ExaminedFailedLog extends LogState {
  /** Lines up to `end`. */
  readonly lines: number;
  readonly errors: readonly ErrorClass[];
}

async function examineFailedLog(
  folder: string,
  { checkpoint: recorded, startAfter }: RunRecord,
  log: ExaminedLog,
): Promise<ExaminedFailedLog> {
  const path = join(folder, FAILED_LOG);
  const none = { end: 0, last: undefined, lines: 0, errors: [] };
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return none;
  try {
    const header = await headerOf(file, FAILED_HEADER);
    if (header === 'foreign') throw foreign(path, FAILED_HEADER);
    if (header === 'torn') return none;
    const fits =
      log.fits &&
      (await lineEndsAt({
        file,
        offset: recorded.failedBytes,
        key: recorded.lastFailed,
        header: FAILED_HEADER,
        parse: parseFailedLine,
      }));
    const checkpoint = fits ? recorded : beginning(startAfter);
    const errors = new ErrorTally(checkpoint.errors);
    const scan = await scanLog({
      file,
      from: checkpoint.failedBytes,
      after: checkpoint.lastFailed ?? startAfter,
      parse: parseFailedLine,
      visit(line) {
        // Not in migrate.log: this key comes again, from a page in migrate.ahead/ or a new transfer.
        if (log.last === undefined || line.key > log.last) return 'stop';
        errors.add(line.code, line);
        return 'go on';
      },
    });
    if (!fits && scan.rest === 'damaged') throw damaged(path, scan);
    return {
      end: scan.end,
      last: scan.lines === 0 ? checkpoint.lastFailed : scan.last,
      lines: checkpoint.totals.failed + scan.lines,
      errors: errors.classes(),
    };
  } finally {
    await file.close();
  }
}

/** Where to find the failed keys of migrate.log that come after the last one of failed.log. */
export interface LostFailures {
  readonly path: string;
  /** migrate.log holds keys after this one, up to its byte `logEnd`. */
  readonly logAfter: ObjectKey;
  readonly logEnd: number;
  readonly after: ObjectKey;
}

const LOST_BATCH = 10_000;

/** Reads migrate.log from its beginning; the records are all `failed` ones, in key order. */
export async function* lostFailures({
  path,
  logAfter,
  logEnd,
  after,
}: LostFailures): AsyncGenerator<LogRecord[]> {
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return;
  try {
    let from = LOG_HEADER.length;
    let previous = logAfter;
    while (from < logEnd) {
      const batch: LogRecord[] = [];
      const scan = await scanLog({
        file,
        from,
        after: previous,
        parse: parseLogLine,
        visit(line) {
          if (batch.length === LOST_BATCH) return 'stop';
          if (line.kind === 'failed' && line.key > after) batch.push(line);
          return 'go on';
        },
      });
      yield batch;
      if (scan.rest !== 'unwanted') return;
      from = scan.end;
      previous = scan.last;
    }
  } finally {
    await file.close();
  }
}

interface AheadOptions {
  readonly folder: string;
  readonly run: string;
  /** Where planning begins. */
  readonly upTo: ObjectKey;
  /** Every key after `upTo` and up to here is in migrate.log. */
  readonly reached: ObjectKey;
}

async function recoverAhead({
  folder,
  run,
  upTo,
  reached,
}: AheadOptions): Promise<Pick<Recovery, 'ranges' | 'useless' | 'ahead'>> {
  await refuseUnlessDirectory(join(folder, AHEAD_DIRECTORY));
  const { pages, unfinished } = await listAheadFiles(folder);
  const useless = [...unfinished];
  const found: (AheadFile & { last: ObjectKey; lastLogged: ObjectKey; totals: RunTotals })[] = [];
  for (const path of pages) {
    const page = await readAheadFile(path, run);
    if (page?.records.lastLogged === undefined) {
      useless.push(path);
      continue;
    }
    const { after, last, lastLogged, totals } = page.records;
    found.push({ path, bytes: page.bytes, after, last, lastLogged, totals });
  }
  found.sort((a, b) => (a.after < b.after ? -1 : 1));

  const ranges: { after: ObjectKey; last: ObjectKey; files: AheadFile[] }[] = [];
  if (reached > upTo) ranges.push({ after: upTo, last: reached, files: [] });
  let done = reached;
  let ahead = NO_TOTALS;
  for (const { path, bytes, last, lastLogged, ...page } of found) {
    // Its lines are in migrate.log; the rest of its range needs no transfer.
    if (lastLogged <= done) {
      useless.push(path);
      continue;
    }
    let { after, totals } = page;
    if (after < done) {
      after = done;
      totals = (await readRecordsAfter(path, run, done)).totals;
    }
    ahead = addTotals(ahead, totals);
    const file = { path, bytes, after };
    const touching = ranges.at(-1);
    if (touching?.last === after) {
      touching.last = last;
      touching.files.push(file);
    } else {
      ranges.push({ after, last, files: [file] });
    }
    done = last;
  }
  return { ranges, useless, ahead };
}

/**
 * Reads a page that was whole before.
 *
 * @throws MigrateError (3) when it is not any more
 */
export async function readRecordsAfter(
  path: string,
  run: string,
  after: ObjectKey,
): Promise<PageRecords> {
  const page = await readAheadFile(path, run);
  if (page === undefined) {
    throw new MigrateError(`${path}: was removed or changed while the run needed it`, {
      exitCode: 3,
      hint: 'Give the same command again: its keys are transferred again.',
    });
  }
  return page.records.after < after ? recordsAfter(after, page.records) : page.records;
}

function foreign(path: string, header: string): MigrateError {
  return new MigrateError(`${path}: does not begin with "${header.trimEnd()}"`, {
    exitCode: 2,
    hint: 'It is not a log of this run: give another --log-folder.',
  });
}

function damaged(path: string, { lines, last }: Scan): MigrateError {
  // The header is line 1, and the line after the good ones is the bad one.
  return new MigrateError(
    `${path}:${lines + 2}: is no line of this log, or its key does not come after "${displayKey(last)}"`,
    {
      exitCode: 2,
      hint: `Somebody changed the log. Cut it before that line (head -n ${lines + 1}) and give the same command again: what it lacks is transferred again.`,
    },
  );
}
