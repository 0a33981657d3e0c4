/**
 * One list file on disk: what it was when the run opened its folder, and reads that prove it still is.
 *
 * Every read opens, checks, reads and closes. So no descriptor is held between reads, however many
 * list files overlap, and a file that is replaced, appended to or cut while a run is under way is
 * noticed at the next read instead of being merged half old and half new.
 */
import { open } from 'node:fs/promises';
import { MigrateError, messageOf } from '../errors.ts';
import { displayText } from '../object-key.ts';

/** `plain`: a key a line, raw bytes. `csv`: a header row, escaped keys. */
export type ListFormat = 'plain' | 'csv';

/** A list file as it was when its folder was opened. */
export interface ListFile {
  readonly name: string;
  /** As a person would type it: the folder as given, then the name. */
  readonly path: string;
  /** Bytes on disk, compressed when `compressed`. */
  readonly size: number;
  readonly modifiedMs: number;
  readonly format: ListFormat;
  /** By gzip. */
  readonly compressed: boolean;
}

/** What a list file's name says about its content: `.csv`, `.gz`, `.csv.gz`, anything else is plain. */
export function formatOf(name: string): Pick<ListFile, 'format' | 'compressed'> {
  const compressed = name.endsWith('.gz');
  const inner = compressed ? name.slice(0, -'.gz'.length) : name;
  return { format: inner.endsWith('.csv') ? 'csv' : 'plain', compressed };
}

/** Where to read a list file. */
export interface ReadRange {
  /** In bytes from the start of the file. */
  readonly offset: number;
  /** In bytes; `offset + length` is at most the file's size. */
  readonly length: number;
  /** Holds at least `length` bytes. */
  readonly into: Buffer;
}

/**
 * Reads `range` in full.
 *
 * @returns the part of `range.into` that was filled
 * @throws MigrateError with exit code 3 when the file is not the one the folder was opened with, or
 *   cannot be read any more
 */
export async function readAt(file: ListFile, range: ReadRange): Promise<Buffer> {
  const { offset, length, into } = range;
  try {
    const handle = await open(file.path, 'r');
    try {
      const { size, mtimeMs } = await handle.stat();
      // Not the inode number: some network and FUSE file systems give a new one at every open.
      if (size !== file.size || mtimeMs !== file.modifiedMs) throw changed(file);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(into, filled, length - filled, offset + filled);
        if (bytesRead === 0) throw changed(file);
        filled += bytesRead;
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof MigrateError) throw error;
    throw new MigrateError(
      `${displayText(file.path)}: cannot be read any more: ${messageOf(error)}`,
      {
        exitCode: 3,
        hint: 'Bring the list file back, then type the same command again: it continues where it stopped.',
        cause: error,
      },
    );
  }
  return into.subarray(0, length);
}

function changed(file: ListFile): MigrateError {
  return new MigrateError(`${displayText(file.path)}: changed while it was being read`, {
    exitCode: 3,
    hint: 'Bring back the list file this run began with, then type the same command again: it continues where it stopped.',
  });
}
