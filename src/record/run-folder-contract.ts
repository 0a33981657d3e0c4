/**
 * The log folder of a run: what is done goes to migrate.log and failed.log in key order, and the same
 * command continues after it.
 *
 * **Prefix promise.** If migrate.log ends with key K, every key up to K that had to be transferred is
 * in it, and every failed one of them in failed.log. That holds at every moment: the failed lines of
 * a page are on the disk before its lines in migrate.log are written. A page that is done before its
 * turn waits in migrate.ahead/, not in memory.
 *
 * About once a second migrate.log is synced and then a checkpoint written to migrate.run.json, so a
 * restart reads the end of the logs only. Over any number of starts, kills and power losses every key
 * is recorded once and counted once. A write error ends it all: nothing is promised after it.
 *
 * What a page means and which keys it has is left to the plan and the transfer.
 */
import type { DoneRange, JournalledUpload, OutcomePage, UploadJournal } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { RunIdentity } from './run-file.ts';
import type { RunTotals } from './totals.ts';

export interface RunFolderOptions {
  /** Made when it is not there. */
  readonly folder: string;
  /**
   * What the run is, by name, in the order in which differences are to be told. Only a command with
   * the same names and values continues a run. Without `start-after`, which is an option of its own.
   */
  readonly identity: RunIdentity;
  readonly toolVersion: string;
  /** Keys up to here are not part of the run; default: all are. */
  readonly startAfter?: ObjectKey | undefined;
  /** Disk that migrate.ahead/ may take before {@link RunFolder.room} makes the run wait; default 1 GiB. */
  readonly aheadLimitBytes?: number | undefined;
  /** ms since the epoch. */
  readonly now: () => number;
}

/** Where to begin, by what is recorded. */
export interface RunStart {
  /** `complete`: a run with this identity has handled every key; there is nothing to do. */
  readonly state: 'new' | 'resumed' | 'complete';
  /** Plan the keys after this one. */
  readonly start: ObjectKey;
  /**
   * Recorded already. Ascending and disjoint. Their keys are planned, for the counts of `ignored` and
   * `exists`, but not transferred: their pages have no outcomes.
   */
  readonly doneRanges: readonly DoneRange[];
}

/** The journal of multipart uploads, with all that it holds. */
export interface RunUploads extends UploadJournal {
  /** All that are not known to be over, and those that have become objects whose keys are not recorded. */
  readonly uploads: readonly JournalledUpload[];
}

export interface RunFolder extends RunStart {
  /** A random name of the run, 16 lower-case hex digits; the same for all its starts. */
  readonly run: string;
  /** What earlier starts have recorded and this one will not count again. */
  readonly earlier: RunTotals;
  /** What was found on opening that no crash explains, one sentence each. */
  readonly warnings: readonly string[];
  /** Every key up to here is handled, and in migrate.log if it had to be transferred. */
  readonly position: ObjectKey;
  /** Pages in migrate.ahead/, of earlier starts too, and the disk they take. */
  readonly ahead: { readonly pages: number; readonly bytes: number };
  /** Aborted, with the error as its reason, when the record can promise nothing any more. */
  readonly failure: AbortSignal;
  /** Noted in migrate.uploads. An error of it is one of the record. */
  readonly uploads: RunUploads;

  /** Keeps what was found out about the destination in migrate.run.json, from the next checkpoint on. */
  keepProbe(findings: unknown): void;

  /**
   * Waits until migrate.ahead/ takes less than its limit. To be called once for each page, before it is
   * begun. Resolves in any case when every page begun so far is written: none could make room then.
   *
   * @throws the signal's reason, or the error that stopped the record
   */
  room(signal?: AbortSignal): Promise<void>;

  /**
   * Records a page. Pages come in any order; each begins where another one, or `start`, ends. Resolves
   * when the page is handed to the file system, and never waits for {@link room}.
   *
   * @throws MigrateError (3) when the disk does not take it; every call after that throws it again
   */
  write(page: OutcomePage): Promise<void>;

  /** Syncs the logs and writes a checkpoint; done by itself about once a second. @throws as `write` */
  checkpoint(): Promise<void>;

  /**
   * Ends the recording, unlocks the folder and tells all that is recorded in it. To be called once,
   * when no `write` is under way; also after a failure.
   *
   * @param end.complete every key of the lists has been handled
   * @throws MigrateError (3) as `write`, or when `complete` is not what the pages say. The folder is
   *   unlocked even then
   */
  close(end: { readonly complete: boolean }): Promise<RunTotals>;
}
