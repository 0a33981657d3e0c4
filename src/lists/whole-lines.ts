/**
 * The bytes of a list file in blocks of whole lines, in bounded memory.
 *
 * What a line means is left to the formats. A line longer than any format allows is handed on cut
 * short, so that the format names it; the rest of it is never read.
 */
import { pipeline } from 'node:stream';
import { createGunzip, type Gunzip } from 'node:zlib';
import { MigrateError, messageOf } from '../errors.ts';
import { displayText } from '../object-key.ts';
import { type ListFile, readAt } from './list-file.ts';

/**
 * A line this long or longer is an error in every format. A key's 1,024 bytes make at most
 * 4,096 in a `.csv`; the rest is room for other columns.
 */
export const LINE_LIMIT_BYTES = 64 * 1024;

/** Compressed bytes fed to the decompressor at once, and the size of its pieces of output. */
const GZIP_PIECE_BYTES = 32 * 1024;

const LF = 0x0a;

interface LineBlock {
  /**
   * Whole lines with their LFs. Without a last LF it is the end of the file, or the start of a line
   * of at least {@link LINE_LIMIT_BYTES}. Valid until the next call of `next`.
   */
  readonly bytes: Buffer;
  /** Bytes of the file on disk that lie before the end of this block. */
  readonly fileBytes: number;
}

/** Reads a list file from front to back. Calls of `next` must not overlap. */
export interface LineSource {
  /**
   * @param blockBytes about how many bytes to read; at least 1. More when the next line is longer.
   * @returns undefined at the end of the file
   * @throws MigrateError when the file changed, or is not what its name says
   */
  next(blockBytes: number): Promise<LineBlock | undefined>;
  /** Lets go of what is held between calls. Needed unless `next` has returned undefined. */
  close(): void;
}

/** Where a {@link LineSource} begins and what it may use. */
export interface LineSourceOptions {
  /** Where to begin, in bytes: 0 or just after an LF. Only 0 for a compressed file. */
  readonly offset: number;
  /** Memory for one block, which sources that are never read at the same time may share. */
  readonly scratch: Scratch;
}

/** A reusable buffer that grows to the largest block asked for. */
export class Scratch {
  #buffer = Buffer.alloc(0);

  /** Content from earlier calls is lost. */
  ofSize(bytes: number): Buffer {
    if (this.#buffer.length < bytes) this.#buffer = Buffer.allocUnsafeSlow(bytes);
    return this.#buffer;
  }
}

export function openLines(file: ListFile, options: LineSourceOptions): LineSource {
  return file.compressed ? new GzipLines(file) : new PlainLines(file, options);
}

/** Keeps nothing between calls: a line cut by the end of a block is read again with the next one. */
class PlainLines implements LineSource {
  readonly #file: ListFile;
  readonly #scratch: Scratch;
  #offset: number;

  constructor(file: ListFile, { offset, scratch }: LineSourceOptions) {
    this.#file = file;
    this.#offset = offset;
    this.#scratch = scratch;
  }

  async next(blockBytes: number): Promise<LineBlock | undefined> {
    const left = this.#file.size - this.#offset;
    if (left === 0) return undefined;
    for (let wanted = blockBytes; ; wanted *= 2) {
      const length = Math.min(wanted, left);
      const into = this.#scratch.ofSize(length);
      const bytes = await readAt(this.#file, { offset: this.#offset, length, into });
      const end = length === left ? length : bytes.lastIndexOf(LF) + 1;
      if (end === 0 && length < LINE_LIMIT_BYTES) continue;
      return this.#taken(bytes.subarray(0, end === 0 ? length : end));
    }
  }

  #taken(bytes: Buffer): LineBlock {
    this.#offset += bytes.length;
    return { bytes, fileBytes: this.#offset };
  }

  close(): void {}
}

/**
 * Holds the decompressor's state between calls, about 200 KiB; no descriptor. A file of several gzip
 * members is read to its end.
 */
class GzipLines implements LineSource {
  readonly #file: ListFile;
  readonly #gunzip: Gunzip;
  readonly #pieces: AsyncIterator<Buffer>;
  #carry: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(file: ListFile) {
    this.#file = file;
    this.#gunzip = createGunzip({ chunkSize: GZIP_PIECE_BYTES });
    // What fails on the way in comes out of the decompressor, where the pieces are awaited.
    pipeline(compressedPieces(file), this.#gunzip, () => {});
    this.#pieces = this.#gunzip[Symbol.asyncIterator]();
  }

  async next(blockBytes: number): Promise<LineBlock | undefined> {
    const pieces = [this.#carry];
    let length = this.#carry.length;
    let lines = this.#carry.includes(LF);
    while (
      !this.#ended &&
      (length < blockBytes || !lines) &&
      (lines || length < LINE_LIMIT_BYTES)
    ) {
      const piece = await this.#nextPiece();
      if (piece === undefined) break;
      pieces.push(piece);
      length += piece.length;
      lines ||= piece.includes(LF);
    }
    const bytes = Buffer.concat(pieces);
    if (bytes.length === 0) return undefined;
    const end = this.#ended || !lines ? bytes.length : bytes.lastIndexOf(LF) + 1;
    this.#carry = bytes.subarray(end);
    return { bytes: bytes.subarray(0, end), fileBytes: this.#fileBytes() };
  }

  async #nextPiece(): Promise<Buffer | undefined> {
    try {
      const { done, value } = await this.#pieces.next();
      if (done !== true) return value;
    } catch (error) {
      throw error instanceof MigrateError ? error : this.#broken(messageOf(error), error);
    }
    this.#ended = true;
    return undefined;
  }

  #fileBytes(): number {
    return this.#ended ? this.#file.size : Math.min(this.#gunzip.bytesWritten, this.#file.size);
  }

  #broken(why: string, cause?: unknown): MigrateError {
    return new MigrateError(`${displayText(this.#file.path)}: not a whole gzip file: ${why}`, {
      exitCode: 2,
      hint: 'Copy or make the list file again.',
      cause,
    });
  }

  close(): void {
    this.#gunzip.destroy();
  }
}

async function* compressedPieces(file: ListFile): AsyncGenerator<Buffer> {
  for (let offset = 0; offset < file.size; offset += GZIP_PIECE_BYTES) {
    const length = Math.min(GZIP_PIECE_BYTES, file.size - offset);
    yield await readAt(file, { offset, length, into: Buffer.allocUnsafe(length) });
  }
}
