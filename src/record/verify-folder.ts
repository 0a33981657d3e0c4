/**
 * The log folder of a verification: its findings go to verify.log in key order, and the same command
 * continues behind the last position recorded.
 *
 * A position is recorded in verify.run.json about once a second, after verify.log was synced. What the log
 * holds beyond that is cut off when the folder is opened, and its keys are verified again: over any number
 * of starts, kills and power losses the log is the one that a single run would have written. One process at
 * a time works with a folder, be it a migration or a verification.
 */
import { constants } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { MigrateError } from '../errors.ts';
import {
  type Finding,
  KEY_STATES,
  type KeyState,
  NOTHING_VERIFIED,
  type VerifiedPage,
  type VerifyTotals,
} from '../findings.ts';
import { BEFORE_ALL, displayKey, type ObjectKey } from '../object-key.ts';
import { AppendLog } from './append-log.ts';
import { cannotOpen, errorCode, makePrivateDirectory, openRegular, syncDirectory } from './disk.ts';
import { type FolderLock, lockFolder } from './folder-lock.ts';
import { bytesField, keyField } from './log-lines.ts';
import type { RunIdentity } from './run-file.ts';
import { noteOtherVersion, refuseOtherRun } from './same-run.ts';
import {
  readVerifyRunFile,
  VERIFY_RUN_FILE,
  type VerifyRecord,
  writeVerifyRunFile,
} from './verify-run-file.ts';

const VERIFY_LOG = 'verify.log';
const VERIFY_HEADER = 'key,symbol,what,source,destination\n';
const CHECKPOINT_MS = 1000;
const LF = 0x0a;

export interface VerifyFolderOptions {
  /** Made when it is not there. */
  readonly folder: string;
  /** What the verification is, by name, in the order in which differences are to be told. */
  readonly identity: RunIdentity;
  readonly toolVersion: string;
  /** ms since the epoch. */
  readonly now: () => number;
}

/**
 * Locks a log folder and makes it ready to be continued, or begins a new verification in it. To be closed.
 *
 * @throws MigrateError (2), nothing changed, when the folder cannot be written, is locked by another
 *   process, or holds a verification that is another one
 */
export async function openVerifyFolder(options: VerifyFolderOptions): Promise<VerifyFolder> {
  const { folder, now } = options;
  await makePrivateDirectory(folder);
  const lock = await lockFolder(folder, now);
  try {
    return await open(options, lock);
  } catch (error) {
    await lock.release();
    throw error instanceof MigrateError ? error : cannotOpen(folder, error);
  }
}

async function open(options: VerifyFolderOptions, lock: FolderLock): Promise<VerifyFolder> {
  const { folder, identity, toolVersion, now } = options;
  const path = join(folder, VERIFY_LOG);
  const recorded = await readVerifyRunFile(folder);
  const warnings: string[] = [];
  let record: VerifyRecord = {
    toolVersion,
    state: 'running',
    identity,
    startedAt: now(),
    updatedAt: now(),
    upTo: BEFORE_ALL,
    logBytes: VERIFY_HEADER.length,
    totals: NOTHING_VERIFIED,
  };
  if (recorded === undefined) {
    await refuseStrayLog(path);
  } else {
    const file = join(folder, VERIFY_RUN_FILE);
    refuseOtherRun(file, recorded.identity, identity);
    const otherVersion = noteOtherVersion(file, recorded.toolVersion, toolVersion);
    if (otherVersion !== undefined) warnings.push(otherVersion);
    if (await holds(path, recorded.logBytes)) {
      record = { ...recorded, toolVersion };
    } else if (recorded.upTo !== BEFORE_ALL) {
      warnings.push(
        `${path} does not hold the ${recorded.logBytes} bytes that ${VERIFY_RUN_FILE} says were written; all is verified again`,
      );
    }
  }
  const complete = record.state === 'complete';
  // Before the log is touched, so that a position beyond its end is gone when it grows again.
  if (!complete)
    await writeVerifyRunFile(folder, { ...record, state: 'running', updatedAt: now() });
  const anew = record.upTo === BEFORE_ALL && !complete;
  const log = await AppendLog.open({
    path,
    header: VERIFY_HEADER,
    end: anew ? 0 : record.logBytes,
  });
  await syncDirectory(folder);
  return new VerifyFolder({ options, record, warnings, log, lock });
}

async function refuseStrayLog(path: string): Promise<void> {
  try {
    await lstat(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  throw new MigrateError(
    `${path}: is a log of another run: there is no ${VERIFY_RUN_FILE} beside it`,
    { exitCode: 2, hint: 'Move it away, or give another --log-folder.' },
  );
}

/** Whether a line of the log ends there. */
async function holds(path: string, logBytes: number): Promise<boolean> {
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return false;
  try {
    const last = Buffer.alloc(1);
    const { bytesRead } = await file.read(last, 0, 1, logBytes - 1);
    return bytesRead === 1 && last[0] === LF;
  } finally {
    await file.close();
  }
}

interface OpenFolder {
  readonly options: VerifyFolderOptions;
  readonly record: VerifyRecord;
  readonly warnings: readonly string[];
  readonly log: AppendLog;
  readonly lock: FolderLock;
}

export class VerifyFolder {
  /** `complete`: every key is verified already, and nothing more is taken. */
  readonly state: 'running' | 'complete';
  /** Verify the keys after this one. */
  readonly start: ObjectKey;
  /** What was found on opening that no crash explains, one sentence each. */
  readonly warnings: readonly string[];

  readonly #options: VerifyFolderOptions;
  readonly #record: VerifyRecord;
  readonly #log: AppendLog;
  readonly #lock: FolderLock;
  #position: ObjectKey;
  #totals: VerifyTotals;
  #checkpointAt: number;
  #failed = false;

  constructor({ options, record, warnings, log, lock }: OpenFolder) {
    this.state = record.state === 'complete' ? 'complete' : 'running';
    this.start = record.upTo;
    this.warnings = warnings;
    this.#options = options;
    this.#record = record;
    this.#log = log;
    this.#lock = lock;
    this.#position = record.upTo;
    this.#totals = record.totals;
    this.#checkpointAt = options.now();
  }

  /** Keys verified, over all starts. */
  get totals(): VerifyTotals {
    return this.#totals;
  }

  /**
   * Records what was found out about the keys up to `page.last`. Pages come in order, one at a time.
   *
   * @throws MigrateError (3) when the disk does not take it; nothing more is recorded after that
   */
  async write(page: VerifiedPage): Promise<void> {
    try {
      await this.#log.append(this.#linesOf(page));
      this.#position = page.last;
      this.#totals = sumOf(this.#totals, page.totals);
      const checkpointDue = this.#options.now() - this.#checkpointAt >= CHECKPOINT_MS;
      if (checkpointDue) await this.#checkpoint('running');
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  /**
   * Records how far it has come, unless a write has failed, and unlocks the folder. To be called once.
   *
   * @param end.complete every key of the lists is verified
   * @throws MigrateError (3) as `write`. The folder is unlocked even then
   */
  async close({ complete }: { readonly complete: boolean }): Promise<void> {
    try {
      if (!this.#failed && this.state !== 'complete') {
        await this.#checkpoint(complete ? 'complete' : 'stopped');
      }
    } finally {
      await this.#log.close();
      await this.#lock.release();
    }
  }

  #linesOf({ last, found }: VerifiedPage): string {
    let lines = '';
    let previous = this.#position;
    for (const { key, findings } of found) {
      if (key <= previous || key > last) {
        throw new Error(`"${displayKey(key)}" is out of order in its page`);
      }
      previous = key;
      for (const finding of findings) lines += formatFinding(key, finding);
    }
    return lines;
  }

  async #checkpoint(state: VerifyRecord['state']): Promise<void> {
    await this.#log.sync();
    const { folder, now } = this.#options;
    this.#checkpointAt = now();
    await writeVerifyRunFile(folder, {
      ...this.#record,
      state,
      updatedAt: this.#checkpointAt,
      upTo: this.#position,
      logBytes: this.#log.size,
      totals: this.#totals,
    });
  }
}

function formatFinding(key: ObjectKey, finding: Finding): string {
  const { symbol, what, source, destination } = finding;
  return `${keyField(key)},${symbol},${bytesField(what)},${bytesField(source)},${bytesField(destination)}\n`;
}

function sumOf(a: VerifyTotals, b: VerifyTotals): VerifyTotals {
  const sum: Record<KeyState, number> = { ...a };
  for (const state of KEY_STATES) sum[state] += b[state];
  return sum;
}
