/**
 * The recording of a run under way: pages in, log lines and checkpoints out. {@link RunFolder} is its
 * contract.
 *
 * Pages are taken one after another. Checkpoints run beside that and describe the last moment at which
 * the logs and the position agreed.
 */
import { randomBytes } from 'node:crypto';
import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DoneRange, OutcomePage } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import { displayKey, type ObjectKey } from '../object-key.ts';
import { AHEAD_DIRECTORY, type AheadFile, writeAheadFile } from './ahead-pages.ts';
import type { AppendLog } from './append-log.ts';
import { cannotWrite } from './disk.ts';
import type { FolderLock } from './folder-lock.ts';
import { formatPage, type PageRecords } from './log-lines.ts';
import { PageChain } from './page-chain.ts';
import { PageRoom } from './page-room.ts';
import { type RecoveredRange, type Recovery, readRecordsAfter } from './recovery.ts';
import { type Checkpoint, type RunRecord, writeRunFile } from './run-file.ts';
import type { RunFolder, RunFolderOptions, RunStart, RunUploads } from './run-folder-contract.ts';
import { addTotals, ErrorTally, NO_TOTALS, type RunTotals } from './totals.ts';
import type { FileUploadJournal } from './upload-journal.ts';

const DEFAULT_AHEAD_LIMIT_BYTES = 1024 ** 3;
/** What a power loss may take back, in ms of work. */
const CHECKPOINT_MS = 1000;

/** All are closed, and the lock released, by {@link Recorder.close}. */
export interface OpenLogs {
  readonly log: AppendLog;
  readonly failedLog: AppendLog;
  readonly uploads: FileUploadJournal;
}

export interface RecorderOptions {
  readonly options: RunFolderOptions;
  readonly start: RunStart;
  readonly record: RunRecord;
  /** Carried out: the logs are as it says. */
  readonly recovery: Recovery;
  readonly logs: OpenLogs;
  readonly lock: FolderLock;
}

export class Recorder implements RunFolder {
  readonly state: RunStart['state'];
  readonly start: ObjectKey;
  readonly doneRanges: readonly DoneRange[];
  readonly earlier: RunTotals;
  readonly warnings: readonly string[];
  readonly run: string;

  readonly #options: RunFolderOptions;
  readonly #record: RunRecord;
  #probe: unknown;
  readonly #lock: FolderLock;
  readonly #log: AppendLog;
  readonly #failedLog: AppendLog;
  readonly #uploads: FileUploadJournal;
  readonly #failure = new AbortController();
  readonly #room: PageRoom;

  /** Distinguishes this start's pages in migrate.ahead/ from those of others. */
  readonly #session = randomBytes(4).toString('hex');
  #aheadNumber = 0;
  readonly #chain = new PageChain();
  /** By where they begin: the page that begins there brings their files with it. */
  readonly #recovered = new Map<ObjectKey, RecoveredRange>();
  /** In the logs, but migrate.log is not synced yet. */
  #appended: AheadFile[] = [];

  #position: ObjectKey;
  #lastLogged: ObjectKey | undefined;
  #lastFailed: ObjectKey | undefined;
  /** Of what is in the logs, and of `ignored` and `exists` up to the position. */
  #totals: RunTotals;
  readonly #errors: ErrorTally;
  /** `earlier` and all pages written. */
  #recorded: RunTotals;
  /** The last state in which logs and position agreed. */
  #settled: Checkpoint;

  #turn: Promise<unknown> = Promise.resolve();
  #checkpointing: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor({ options, start, record, recovery, logs, lock }: RecorderOptions) {
    this.state = start.state;
    this.start = start.start;
    this.doneRanges = start.doneRanges;
    this.earlier = addTotals(recovery.logged, recovery.ahead);
    this.warnings = recovery.warnings;
    this.run = record.run;
    this.#options = options;
    this.#record = record;
    this.#lock = lock;
    this.#log = logs.log;
    this.#failedLog = logs.failedLog;
    this.#uploads = logs.uploads;
    const { failure } = logs.uploads;
    failure.addEventListener('abort', () => this.#fail(failure.reason));
    this.#room = new PageRoom(options.aheadLimitBytes ?? DEFAULT_AHEAD_LIMIT_BYTES);
    this.#position = this.start;
    this.#lastLogged = recovery.log.last;
    this.#lastFailed = recovery.lastFailed;
    this.#totals = recovery.logged;
    this.#errors = new ErrorTally(recovery.errors);
    this.#recorded = this.earlier;
    this.#settled = recovery.checkpoint;
    for (const range of recovery.ranges) {
      this.#recovered.set(range.after, range);
      for (const { bytes } of range.files) this.#room.take(bytes);
    }
    this.#settle();
  }

  get position(): ObjectKey {
    return this.#position;
  }

  get ahead(): { pages: number; bytes: number } {
    return { pages: this.#room.files, bytes: this.#room.bytes };
  }

  get failure(): AbortSignal {
    return this.#failure.signal;
  }

  get uploads(): RunUploads {
    return this.#uploads;
  }

  async room(signal?: AbortSignal): Promise<void> {
    const stop = this.#failure.signal;
    await this.#room.enter(signal === undefined ? stop : AbortSignal.any([signal, stop]));
  }

  async write(page: OutcomePage): Promise<void> {
    if (this.state === 'complete') throw new Error('the run is complete: it takes no more pages');
    const records = formatPage(page);
    const turn = this.#turn.then(() => this.#accept(page, records));
    this.#turn = turn.catch(() => {});
    await turn;
  }

  async #accept({ ignored, exists }: OutcomePage, records: PageRecords): Promise<void> {
    this.#failure.signal.throwIfAborted();
    try {
      await this.#take(records, ignored, exists);
      this.#uploads.recorded(records);
      this.#settle();
      this.#timer ??= setTimeout(() => this.#checkpointByItself(), CHECKPOINT_MS).unref();
    } catch (error) {
      this.#fail(error);
      throw error;
    } finally {
      this.#room.leave();
    }
  }

  async #take(records: PageRecords, ignored: number, exists: number): Promise<void> {
    const { after, last } = records;
    if (last === after) return;
    if (after < this.#position || last < after) {
      throw new Error(`page "${displayKey(after)}" to "${displayKey(last)}" does not chain`);
    }
    const recovered = this.#recovered.get(after)?.files ?? [];
    this.#recovered.delete(after);
    this.#recorded = addTotals(this.#recorded, { ...records.totals, ignored, exists });
    if (after !== this.#position) {
      const files = [...recovered];
      if (records.logLines !== '') files.push(await this.#writeAhead(records));
      this.#chain.add({ after, last, ignored, exists, files });
      return;
    }
    for (const file of recovered) await this.#appendFile(file);
    await this.#append(records);
    this.#advance(last, ignored, exists);
    for (;;) {
      const next = this.#chain.take(this.#position);
      if (next === undefined) return;
      for (const file of next.files) await this.#appendFile(file);
      this.#advance(next.last, next.ignored, next.exists);
    }
  }

  async #writeAhead(records: PageRecords): Promise<AheadFile> {
    const file = await writeAheadFile({
      folder: this.#options.folder,
      name: `${this.#session}-${this.#aheadNumber++}`,
      run: this.#record.run,
      records,
    });
    this.#room.take(file.bytes);
    return file;
  }

  async #appendFile(file: AheadFile): Promise<void> {
    await this.#append(await readRecordsAfter(file.path, this.#record.run, file.after));
    this.#appended.push(file);
    this.#room.giveBack(file.bytes);
  }

  async #append(records: PageRecords): Promise<void> {
    if (records.logLines === '') return;
    if (this.#lastLogged !== undefined && records.after < this.#lastLogged) {
      throw new Error(`keys after "${displayKey(records.after)}" are recorded already`);
    }
    if (records.failedLines !== '') {
      await this.#failedLog.append(records.failedLines);
      await this.#failedLog.sync();
    }
    await this.#log.append(records.logLines);
    this.#lastLogged = records.lastLogged ?? this.#lastLogged;
    this.#lastFailed = records.lastFailed ?? this.#lastFailed;
    this.#totals = addTotals(this.#totals, records.totals);
    this.#errors.merge(records.errors);
  }

  #advance(position: ObjectKey, ignored: number, exists: number): void {
    this.#position = position;
    this.#totals = addTotals(this.#totals, { ...NO_TOTALS, ignored, exists });
  }

  /**
   * Notes a state to go back to. Not while the log is ahead of the position, which is so inside a range
   * that an earlier start has recorded: its keys are counted partly.
   */
  #settle(): void {
    if (this.#lastLogged !== undefined && this.#lastLogged > this.#position) return;
    this.#settled = {
      upTo: this.#position,
      logBytes: this.#log.size,
      lastLogged: this.#lastLogged,
      failedBytes: this.#failedLog.size,
      lastFailed: this.#lastFailed,
      totals: this.#totals,
      errors: this.#errors.classes(),
    };
  }

  keepProbe(findings: unknown): void {
    this.#probe = findings;
  }

  checkpoint(): Promise<void> {
    return this.#writeCheckpoint('running');
  }

  #checkpointByItself(): void {
    // A failure is kept in the failure signal, and thrown by the next call.
    void this.checkpoint().catch(() => {});
  }

  /** One at a time, beside the writing of pages. */
  async #writeCheckpoint(state: RunRecord['state']): Promise<void> {
    const turn = this.#checkpointing.then(() => this.#checkpointNow(state));
    this.#checkpointing = turn.catch(() => {});
    await turn;
  }

  async #checkpointNow(state: RunRecord['state']): Promise<void> {
    this.#failure.signal.throwIfAborted();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { folder, toolVersion, now } = this.#options;
    const checkpoint = this.#settled;
    const appended = this.#appended;
    this.#appended = [];
    try {
      // failed.log is synced with each page.
      await this.#log.sync();
      const updatedAt = now();
      const endedAt = state === 'running' ? undefined : updatedAt;
      await writeRunFile(folder, {
        ...this.#record,
        probe: this.#probe,
        toolVersion,
        state,
        updatedAt,
        endedAt,
        checkpoint,
      });
      for (const { path } of appended) await removePage(path);
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  #fail(error: unknown): void {
    clearTimeout(this.#timer);
    this.#failure.abort(error);
  }

  async close({ complete }: { readonly complete: boolean }): Promise<RunTotals> {
    await this.#turn;
    await this.#checkpointing;
    clearTimeout(this.#timer);
    try {
      this.#failure.signal.throwIfAborted();
      if (complete) this.#refuseGap();
      await this.#log.refuseUnlessInPlace();
      await this.#failedLog.refuseUnlessInPlace();
      if (this.state !== 'complete') {
        await this.#writeCheckpoint(complete ? 'complete' : 'stopped');
      }
      // Also of a run that was killed after its last checkpoint.
      if (complete) await this.#removeAheadDirectory();
      return this.#recorded;
    } finally {
      await this.#uploads.close();
      await this.#failedLog.close();
      await this.#log.close();
      await this.#lock.release();
    }
  }

  #refuseGap(): void {
    const ahead = this.#lastLogged !== undefined && this.#lastLogged > this.#position;
    if (this.#chain.size === 0 && this.#recovered.size === 0 && !ahead) return;
    throw new MigrateError(
      `the run is not complete: no page has come for the keys after "${displayKey(this.#position)}"`,
      { exitCode: 3, hint: 'Give the same command again, and report this: it is a defect.' },
    );
  }

  /** All its pages are in the logs; one that stays, of whoever, does no harm. */
  async #removeAheadDirectory(): Promise<void> {
    await rmdir(join(this.#options.folder, AHEAD_DIRECTORY)).catch(() => {});
  }
}

async function removePage(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
  } catch (error) {
    throw cannotWrite(path, error);
  }
}
