/**
 * Reads a log from an offset to its end, checks every line, and says where the good part ends.
 *
 * It reads only; what is to be cut off is cut by who opens the log for appending. Memory is one
 * chunk, however long a line or a tail of NULs is.
 */
import type { FileHandle } from 'node:fs/promises';
import type { ObjectKey } from '../object-key.ts';
import { MAX_LINE_BYTES } from './log-lines.ts';

const CHUNK_BYTES = 1024 * 1024;
const LF = 0x0a;

export interface ScanOptions<R extends { readonly key: ObjectKey }> {
  readonly file: FileHandle;
  /** Offset of the start of a line. */
  readonly from: number;
  /** Key of the line before; each line's key must be greater than that of the one before it. */
  readonly after: ObjectKey;
  /** @returns undefined for a line that is not of this log */
  readonly parse: (line: string) => R | undefined;
  /** Called for every good line. `stop` ends the scan before this line. */
  readonly visit: (record: R) => 'go on' | 'stop';
}

export interface Scan {
  /** Offset after the last good line. */
  readonly end: number;
  /** Good lines read. */
  readonly lines: number;
  /** Key of the last good line, or `after`. */
  readonly last: ObjectKey;
  /**
   * What follows `end`. `nothing`; `unwanted`: where `visit` stopped; `torn`: one bad line with none
   * after it, as a crash leaves; `damaged`: a bad line with others after it, or a whole one out of its place.
   */
  readonly rest: 'nothing' | 'unwanted' | 'torn' | 'damaged';
}

export async function scanLog<R extends { readonly key: ObjectKey }>({
  file,
  from,
  after,
  parse,
  visit,
}: ScanOptions<R>): Promise<Scan> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let end = from;
  let lines = 0;
  let last = after;
  let unfinished = '';
  for (let offset = from; unfinished.length <= MAX_LINE_BYTES; ) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, offset);
    if (bytesRead === 0) break;
    offset += bytesRead;
    const text = unfinished + buffer.toString('latin1', 0, bytesRead);
    let start = 0;
    for (let lf = text.indexOf('\n'); lf !== -1; lf = text.indexOf('\n', start)) {
      const record = parse(text.slice(start, lf));
      if (record === undefined) return { end, lines, last, rest: await restFrom(file, end) };
      if (record.key <= last) return { end, lines, last, rest: 'damaged' };
      if (visit(record) === 'stop') return { end, lines, last, rest: 'unwanted' };
      last = record.key;
      lines++;
      end += lf + 1 - start;
      start = lf + 1;
    }
    unfinished = text.slice(start);
  }
  return { end, lines, last, rest: unfinished === '' ? 'nothing' : await restFrom(file, end) };
}

/** Whether the bad line at the offset is the last one. */
async function restFrom(file: FileHandle, from: number): Promise<'torn' | 'damaged'> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const { size } = await file.stat();
  for (let offset = from; offset < size; ) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, offset);
    if (bytesRead === 0) break;
    const lf = buffer.subarray(0, bytesRead).indexOf(LF);
    if (lf !== -1) return offset + lf + 1 >= size ? 'torn' : 'damaged';
    offset += bytesRead;
  }
  return 'torn';
}

/**
 * Whether a line ends at the offset, and has this key (none: the header ends there).
 */
export async function lineEndsAt({
  file,
  offset,
  key,
  header,
  parse,
}: {
  readonly file: FileHandle;
  readonly offset: number;
  readonly key: ObjectKey | undefined;
  readonly header: string;
  readonly parse: (line: string) => { readonly key: ObjectKey } | undefined;
}): Promise<boolean> {
  if (key === undefined)
    return offset === header.length && (await headerOf(file, header)) === 'whole';
  const start = Math.max(0, offset - MAX_LINE_BYTES - 1);
  const buffer = Buffer.allocUnsafe(offset - start);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, start);
  if (bytesRead !== buffer.length || buffer.at(-1) !== LF) return false;
  const lineStart = buffer.lastIndexOf(LF, -2) + 1;
  return parse(buffer.toString('latin1', lineStart, buffer.length - 1))?.key === key;
}

/**
 * `torn`: the file ends, but for NULs, inside its header, as a crash at its making leaves it.
 * `foreign`: this is no log of that kind.
 */
export async function headerOf(
  file: FileHandle,
  header: string,
): Promise<'whole' | 'torn' | 'foreign'> {
  const buffer = Buffer.allocUnsafe(header.length);
  const { bytesRead } = await file.read(buffer, 0, header.length, 0);
  const text = buffer.toString('latin1', 0, bytesRead);
  if (text === header) return 'whole';
  const begun = text.slice(0, text.search(/\0*$/));
  return header.startsWith(begun) && (await restFrom(file, 0)) === 'torn' ? 'torn' : 'foreign';
}
