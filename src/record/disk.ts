/**
 * How the record meets the disk: files opened without surprises, and errors that say what to do.
 *
 * A log's place taken by a symbolic link, a FIFO or a directory is refused: keys are not written
 * where somebody else chose. Files are 0600 and directories 0700, whatever the umask adds.
 */
import { constants } from 'node:fs';
import { access, type FileHandle, lstat, open, rename, rm } from 'node:fs/promises';
import { constants as osConstants } from 'node:os';
import { MigrateError, messageOf } from '../errors.ts';
import { makeDirectories } from '../make-directories.ts';

const { errno } = osConstants;

const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;

export function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code;
}

/** Opening the folder failed: nothing was started. */
export function cannotOpen(path: string, cause: unknown): MigrateError {
  return new MigrateError(`${path}: cannot be used for the run's logs: ${messageOf(cause)}`, {
    exitCode: 2,
    hint: 'Give a --log-folder on a disk that can be written to.',
    cause,
  });
}

/** Writing failed in the middle of a run: nothing more can be promised, so the run stops. */
export function cannotWrite(path: string, cause: unknown): MigrateError {
  const quota = (cause as NodeJS.ErrnoException | null)?.errno === -errno.EDQUOT;
  const noSpace = quota || ['ENOSPC', 'EFBIG'].includes(errorCode(cause) ?? '');
  // Node has no name for EDQUOT.
  const message = quota ? 'EDQUOT: disk quota exceeded' : messageOf(cause);
  return new MigrateError(`${path}: cannot be written: ${message}`, {
    exitCode: 3,
    hint: noSpace ? 'Free space on that disk.' : 'Remove the cause.',
    cause,
  });
}

/** Reading back what this run wrote failed. */
export function cannotRead(path: string, cause: unknown): MigrateError {
  return new MigrateError(`${path}: cannot be read: ${messageOf(cause)}`, {
    exitCode: 3,
    hint: 'Repair the disk.',
    cause,
  });
}

/**
 * Opens a regular file; the caller closes it.
 *
 * @param flags of `node:fs` constants; O_NOFOLLOW is added
 * @returns undefined when there is no such file and `flags` do not create it
 * @throws MigrateError (2) when something else than a regular file is there, or it cannot be opened
 */
export async function openRegular(path: string, flags: number): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    // O_NONBLOCK: opening a FIFO would wait for its other end.
    file = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, PRIVATE_FILE);
  } catch (error) {
    switch (errorCode(error) ?? '') {
      case 'ENOENT':
        if ((flags & constants.O_CREAT) === 0) return undefined;
        throw cannotOpen(path, error);
      case 'ELOOP':
        throw notRegular(path, 'a symbolic link');
      case 'EISDIR':
        throw notRegular(path, 'a directory');
      case 'ENXIO':
        throw notRegular(path, 'not a regular file');
      default:
        throw cannotOpen(path, error);
    }
  }
  try {
    if (!(await file.stat()).isFile()) throw notRegular(path, 'not a regular file');
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function notRegular(path: string, what: string): MigrateError {
  return new MigrateError(`${path}: is ${what}; a log must be a regular file`, {
    exitCode: 2,
    hint: 'Move it away, or give another --log-folder.',
  });
}

/** Makes the directory and those above it; one that is there stays as it is. */
export async function makePrivateDirectory(path: string): Promise<void> {
  try {
    await makeDirectories(path, PRIVATE_DIRECTORY);
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

/** @throws MigrateError (2) when something else than a directory has that name */
export async function refuseUnlessDirectory(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw cannotOpen(path, error);
  });
  if (found !== undefined && !found.isDirectory()) {
    throw new MigrateError(`${path}: is not a directory`, {
      exitCode: 2,
      hint: 'Move it away, or give another --log-folder.',
    });
  }
}

/** Writes all of the bytes: one write may take fewer than it was given, without an error. */
export async function writeFully(
  file: FileHandle,
  bytes: Uint8Array,
  onWritten?: (count: number) => void,
): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written);
    written += bytesWritten;
    onWritten?.(written);
  }
}

/**
 * Replaces a file as a whole (write, fsync, rename): a reader and a crash see the old one or the new one.
 *
 * @throws MigrateError (3) when it cannot be written; the old one is then still there
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const fresh = `${path}.part`;
  try {
    // Left by a crash, or put there by somebody: O_EXCL then makes sure that it is our own.
    await rm(fresh, { force: true });
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const file = await openRegular(fresh, O_WRONLY | O_CREAT | O_EXCL);
    if (file === undefined) throw new Error('O_CREAT opens or throws');
    try {
      await file.chmod(PRIVATE_FILE);
      await writeFully(file, Buffer.from(text, 'utf8'));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
  } catch (error) {
    throw cannotWrite(path, error instanceof MigrateError ? error.cause : error);
  }
}

/** Makes the names in a directory survive a power loss. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Makes the log folder where there is none, and checks that it can be written: before anything is
 * started, and before a bucket is asked for.
 *
 * @throws MigrateError (2)
 */
export async function prepareLogFolder(path: string): Promise<void> {
  await makePrivateDirectory(path);
  try {
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw cannotOpen(path, error);
  }
}
