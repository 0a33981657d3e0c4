/**
 * The journal of uploads of a log folder whose run is not at work, for whoever cleans up after it.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { MigrateError } from '../errors.ts';
import { errorCode } from './disk.ts';
import { lockFolder } from './folder-lock.ts';
import { RUN_FILE, type RunIdentity, type RunRecord, readRunFile } from './run-file.ts';
import type { RunUploads } from './run-folder-contract.ts';
import { refuseOtherRun } from './same-run.ts';
import { FileUploadJournal, UPLOADS_FILE } from './upload-journal.ts';

export interface UploadsFolderOptions {
  readonly folder: string;
  /** What the run must have in common with whoever asks, of its identity. */
  readonly identity: RunIdentity;
  /** ms since the epoch. */
  readonly now: () => number;
}

export interface UploadsFolder {
  readonly uploads: RunUploads;
  /** Of the run; undefined when only the journal is there. */
  readonly runState: RunRecord['state'] | undefined;
  /** Unlocks the folder. @throws MigrateError (3) when not all could be noted */
  close(): Promise<void>;
}

/**
 * Locks the folder. To be closed.
 *
 * @throws MigrateError (2), nothing changed, when it is no log folder of a migration, or of one with
 *   another identity, or a process is at work in it
 */
export async function openUploadsFolder({
  folder,
  identity,
  now,
}: UploadsFolderOptions): Promise<UploadsFolder> {
  await refuseUnlessLogFolder(folder);
  const lock = await lockFolder(folder, now);
  try {
    const run = await readRunFile(folder);
    if (run !== undefined) {
      const recorded = Object.keys(identity).map((name) => [name, run.identity[name] ?? '']);
      refuseOtherRun(join(folder, RUN_FILE), Object.fromEntries(recorded), identity);
    }
    const uploads = await FileUploadJournal.open({ folder, recorded: [], now });
    return {
      uploads,
      runState: run?.state,
      async close() {
        await uploads.close();
        await lock.release();
        uploads.failure.throwIfAborted();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** A mistyped folder must not be answered with "nothing is left". */
async function refuseUnlessLogFolder(folder: string): Promise<void> {
  for (const name of [RUN_FILE, UPLOADS_FILE]) {
    try {
      await lstat(join(folder, name));
      return;
    } catch (error) {
      if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error;
    }
  }
  throw new MigrateError(`${folder}: is no log folder of a migration: there is no ${RUN_FILE}`, {
    exitCode: 2,
    hint: 'Give the --log-folder of the run whose uploads are to be cleaned up.',
  });
}
