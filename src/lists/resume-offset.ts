/**
 * Where to begin reading a list file when all keys up to one are of no interest any more.
 *
 * Only a plain, uncompressed file can be entered in its middle; others are read from the start. A
 * file whose last key is not beyond `after` needs no reading at all. The order of what is passed over
 * is not verified here: that is done when all else has been read.
 */
import type { ObjectKey } from '../object-key.ts';
import { type ListFile, readAt } from './list-file.ts';

/** Finds a whole line of the longest allowed key wherever it looks. */
const PROBE_BYTES = 4 * 1024;

/** Reading a stretch this short is as quick as searching in it. */
const SHORT_BYTES = 8 * 1024;

const LF = 0x0a;

/**
 * @returns a line's first byte such that all keys before it are ≤ `after`, in bytes from the start of
 *   the file; its size when no key is beyond `after`
 * @throws MigrateError with exit code 3 when the file is not what it was
 */
export async function resumeOffset(
  file: ListFile,
  { firstKey, after }: { readonly firstKey: ObjectKey; readonly after: ObjectKey },
): Promise<number> {
  if (firstKey > after) return 0;
  if (file.format !== 'plain' || file.compressed || file.size === 0) return 0;
  const into = Buffer.allocUnsafe(PROBE_BYTES);
  const lastKey = await lastKeyOf(file, into);
  // A file in disorder must not be passed over: reading it will say what is wrong.
  if (lastKey === undefined || lastKey < firstKey) return 0;
  if (lastKey <= after) return file.size;

  // Invariant: all keys before `low` are ≤ after; all keys of lines that begin beyond `high` are not.
  let low = 0;
  let high = file.size;
  while (high - low > SHORT_BYTES) {
    const middle = low + Math.floor((high - low) / 2);
    const line = await firstLineAfter(file, middle, into);
    if (line === undefined) break;
    if (line.key <= after) low = line.offset;
    else high = middle;
  }
  return low;
}

/** @returns undefined when the last line is too long for a key: reading will say so */
async function lastKeyOf(file: ListFile, into: Buffer): Promise<ObjectKey | undefined> {
  const length = Math.min(PROBE_BYTES, file.size);
  const offset = file.size - length;
  const bytes = await readAt(file, { offset, length, into });
  const end = bytes.at(-1) === LF ? length - 1 : length;
  const start = bytes.subarray(0, end).lastIndexOf(LF) + 1;
  if (start === 0 && offset > 0) return undefined;
  return bytes.toString('latin1', start, end) as ObjectKey;
}

interface Line {
  readonly key: ObjectKey;
  /** Of its first byte, from the start of the file. */
  readonly offset: number;
}

/** The first whole line that begins after `offset`. */
async function firstLineAfter(
  file: ListFile,
  offset: number,
  into: Buffer,
): Promise<Line | undefined> {
  const length = Math.min(PROBE_BYTES, file.size - offset);
  const bytes = await readAt(file, { offset, length, into });
  const start = bytes.indexOf(LF) + 1;
  const end = bytes.indexOf(LF, start);
  if (start === 0 || end === -1) return undefined;
  return { key: bytes.toString('latin1', start, end) as ObjectKey, offset: offset + start };
}
