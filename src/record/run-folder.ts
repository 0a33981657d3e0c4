/**
 * Opens the log folder of a run, for recording or to look only. See {@link RunFolder}.
 *
 * Three steps: find out what is there (recovery.ts, reads only), carry out what that says, record.
 */
import { randomBytes } from 'node:crypto';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MigrateError } from '../errors.ts';
import { BEFORE_ALL } from '../object-key.ts';
import { AHEAD_DIRECTORY, listAheadFiles } from './ahead-pages.ts';
import { AppendLog } from './append-log.ts';
import {
  cannotOpen,
  errorCode,
  makePrivateDirectory,
  refuseUnlessDirectory,
  syncDirectory,
} from './disk.ts';
import { lockFolder } from './folder-lock.ts';
import { FAILED_HEADER, formatFailedLine, LOG_HEADER } from './log-lines.ts';
import { type OpenLogs, Recorder } from './recorder.ts';
import {
  beginning,
  FAILED_LOG,
  type LostFailures,
  lostFailures,
  MIGRATE_LOG,
  type Recovery,
  recover,
} from './recovery.ts';
import { RUN_FILE, type RunRecord, readRunFile, writeFirstRunFile } from './run-file.ts';
import type { RunFolder, RunFolderOptions, RunStart } from './run-folder-contract.ts';
import { noteOtherVersion, refuseOtherRun, refuseOtherStart } from './same-run.ts';
import { NO_TOTALS } from './totals.ts';
import { FileUploadJournal, UPLOADS_FILE } from './upload-journal.ts';

export type { RunFolder, RunFolderOptions, RunStart } from './run-folder-contract.ts';
export type { RunTotals } from './totals.ts';

/**
 * Locks a log folder and makes it ready to be continued, or begins a new run in it.
 *
 * Reads the logs from the last checkpoint on, drops what a crash has torn, and removes from failed.log
 * what is to be transferred again.
 *
 * @throws MigrateError (2), nothing changed, when the folder cannot be written, is locked by another
 *   process, is of another run, or holds logs that were damaged
 */
export async function openRunFolder(options: RunFolderOptions): Promise<RunFolder> {
  const { folder, now } = options;
  await makePrivateDirectory(folder);
  const lock = await lockFolder(folder, now);
  try {
    const examined = await examine(options);
    const { state, record, recovery } = examined;
    if (state !== 'complete') await begin(options, examined);
    const logs = await openLogs(options, examined);
    return new Recorder({ options, start: startOf(examined), record, recovery, logs, lock });
  } catch (error) {
    await lock.release();
    throw error instanceof MigrateError ? error : cannotOpen(folder, error);
  }
}

/**
 * What {@link openRunFolder} would find, for `--dry-run`: reads, but neither writes nor locks.
 *
 * @throws MigrateError (2) as openRunFolder, but for the lock
 */
export async function peekRunFolder(options: RunFolderOptions): Promise<RunStart> {
  try {
    return startOf(await examine(options));
  } catch (error) {
    throw error instanceof MigrateError ? error : cannotOpen(options.folder, error);
  }
}

interface Examined {
  readonly state: RunStart['state'];
  readonly record: RunRecord;
  readonly recovery: Recovery;
}

async function examine(options: RunFolderOptions): Promise<Examined> {
  const { folder, identity, toolVersion, startAfter = BEFORE_ALL } = options;
  const record = await readRunFile(folder);
  if (record === undefined) return examineNew(options);
  const file = join(folder, RUN_FILE);
  refuseOtherRun(file, record.identity, identity);
  const otherVersion = noteOtherVersion(file, record.toolVersion, toolVersion);
  const found = await recover(folder, record);
  const recovery =
    otherVersion === undefined ? found : { ...found, warnings: [otherVersion, ...found.warnings] };
  refuseOtherStart({
    folder,
    recorded: record.startAfter,
    lastLogged: recovery.log.last,
    now: startAfter,
  });
  return { state: recovery.state, record, recovery };
}

async function examineNew({
  folder,
  identity,
  toolVersion,
  startAfter = BEFORE_ALL,
  now,
}: RunFolderOptions): Promise<Examined> {
  for (const name of [MIGRATE_LOG, FAILED_LOG, UPLOADS_FILE])
    await refuseStrayLog(join(folder, name));
  await refuseUnlessDirectory(join(folder, AHEAD_DIRECTORY));
  const { pages, unfinished } = await listAheadFiles(folder);
  const checkpoint = beginning(startAfter);
  return {
    state: 'new',
    record: {
      toolVersion,
      run: randomBytes(8).toString('hex'),
      state: 'running',
      identity,
      startAfter,
      startedAt: now(),
      updatedAt: now(),
      endedAt: undefined,
      checkpoint,
    },
    recovery: {
      state: 'resumed',
      checkpoint,
      log: { end: 0, last: undefined },
      failed: { end: 0, last: undefined },
      lost: undefined,
      lastFailed: undefined,
      ranges: [],
      useless: [...pages, ...unfinished],
      logged: NO_TOTALS,
      errors: [],
      ahead: NO_TOTALS,
      warnings: [],
    },
  };
}

async function refuseStrayLog(path: string): Promise<void> {
  try {
    await lstat(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  throw new MigrateError(
    `${path}: is a log of another run: there is no migrate.run.json beside it`,
    {
      exitCode: 2,
      hint: 'Give another --log-folder; with the last key of migrate.log as --start-after it continues there.',
    },
  );
}

function startOf({ state, recovery }: Examined): RunStart {
  return {
    state,
    start: recovery.checkpoint.upTo,
    doneRanges: recovery.ranges.map(({ after, last }) => ({ after, last })),
  };
}

/** Notes that the run is under way. Throws when the folder cannot be written. */
async function begin(
  { folder, toolVersion, now }: RunFolderOptions,
  { record, recovery }: Examined,
): Promise<void> {
  // Before the logs are touched, so that a checkpoint beyond a log's end is gone when it grows again.
  await writeFirstRunFile(folder, {
    ...record,
    toolVersion,
    state: 'running',
    updatedAt: now(),
    endedAt: undefined,
    checkpoint: recovery.checkpoint,
  });
  await mkdir(join(folder, AHEAD_DIRECTORY), { mode: 0o700 }).catch((error: unknown) => {
    if (errorCode(error) !== 'EEXIST') throw error;
  });
}

/** Carries out what recovery says: the logs end in their good part, failed.log lacks nothing. */
async function openLogs({ folder, now }: RunFolderOptions, examined: Examined): Promise<OpenLogs> {
  const { log: logState, failed, lost, useless } = examined.recovery;
  const failedLog = await AppendLog.open({
    path: join(folder, FAILED_LOG),
    header: FAILED_HEADER,
    end: failed.end,
  });
  let log: AppendLog | undefined;
  try {
    log = await AppendLog.open({
      path: join(folder, MIGRATE_LOG),
      header: LOG_HEADER,
      end: logState.end,
    });
    if (lost !== undefined) await rebuildFailedLines(failedLog, lost, now());
    for (const path of useless) await rm(path, { force: true });
    await syncDirectory(folder);
    const { start, doneRanges } = startOf(examined);
    const recorded = [{ after: BEFORE_ALL, last: start }, ...doneRanges];
    const uploads = await FileUploadJournal.open({ folder, recorded, now });
    return { log, failedLog, uploads };
  } catch (error) {
    await log?.close();
    await failedLog.close();
    throw error;
  }
}

async function rebuildFailedLines(
  failedLog: AppendLog,
  lost: LostFailures,
  at: number,
): Promise<void> {
  const unknown = { at, status: 0, attempts: 0, message: 'line lost, made again from migrate.log' };
  for await (const failures of lostFailures(lost)) {
    const lines = failures.map(({ key, detail }) =>
      formatFailedLine(key, { ...unknown, code: detail }),
    );
    await failedLog.append(lines.join(''));
  }
  await failedLog.sync();
}
