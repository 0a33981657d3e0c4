/**
 * The Range header. https://www.rfc-editor.org/rfc/rfc9110#name-range
 */
import { S3Error } from './s3-error.ts';

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * @param size bytes of the whole content
 * @returns undefined when there is no range, or one that is to be ignored: of another unit, of
 *   several parts, or malformed
 * @throws S3Error InvalidRange when no byte of the content is in it
 */
export function parseRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  const range = first === '' ? suffix(Number(last), size) : between(Number(first), last, size);
  if (range === undefined) return undefined;
  if (range.start >= range.end) {
    throw new S3Error('InvalidRange', undefined, { ActualObjectSize: String(size) });
  }
  return range;
}

function suffix(bytes: number, size: number): ByteRange {
  return { start: Math.max(0, size - bytes), end: size };
}

function between(first: number, last: string, size: number): ByteRange | undefined {
  if (last === '') return { start: first, end: size };
  if (Number(last) < first) return undefined;
  return { start: first, end: Math.min(Number(last) + 1, size) };
}
