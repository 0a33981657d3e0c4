/**
 * The keys of one list file, front to back, each verified before it is handed on.
 *
 * A key that is unfit or out of order throws before any key of its block is handed on, naming file,
 * line and both keys. The blocks before stay good.
 */
import { BEFORE_ALL, type ObjectKey } from '../object-key.ts';
import { type LineParser, lineParser } from './keys-of-lines.ts';
import { type LineProblem, lineError } from './line-problem.ts';
import { type ListFile, readAt } from './list-file.ts';
import { type LineSource, openLines, Scratch } from './whole-lines.ts';

/** How much of a file is looked at before its keys are needed. */
const HEAD_BYTES = 4 * 1024;

const COUNTING_BYTES = 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;

export interface KeyBlock {
  /** Strictly ascending; none when the block held repeated keys only. */
  readonly keys: readonly ObjectKey[];
  /** Bytes of the file on disk that lie before the end of this block. */
  readonly fileBytes: number;
}

/** Where a {@link ListReader} begins, and the memory it reads into. */
export interface ListReaderOptions {
  /** In bytes: 0, or just after an LF of a plain, uncompressed file. */
  readonly offset: number;
  /** May be shared by readers that never read at the same time. */
  readonly scratch: Scratch;
}

/** Calls of `next` must not overlap. */
export class ListReader {
  readonly #file: ListFile;
  readonly #offset: number;
  readonly #source: LineSource;
  readonly #parser: LineParser;
  #linesRead = 0;
  #last: ObjectKey = BEFORE_ALL;

  constructor(file: ListFile, options: ListReaderOptions) {
    this.#file = file;
    this.#offset = options.offset;
    this.#source = openLines(file, options);
    this.#parser = lineParser(file.format);
  }

  /**
   * @param blockBytes about how many bytes to read; at least 1
   * @returns undefined at the end of the file
   * @throws MigrateError with exit code 2 for an unfit line, 3 when the file is not what it was
   */
  async next(blockBytes: number): Promise<KeyBlock | undefined> {
    const block = await this.#source.next(blockBytes);
    if (block === undefined) return undefined;
    const { keys, lines, problem } = await this.#parser.parse(block.bytes, this.#last);
    this.#linesRead += lines;
    if (problem !== undefined) {
      const linesBefore = await countLines(this.#file, this.#offset);
      throw lineError(this.#file, linesBefore + this.#linesRead, problem);
    }
    this.#last = keys.at(-1) ?? this.#last;
    return { keys, fileBytes: block.fileBytes };
  }

  /** Lets go of what is held between calls. Needed unless `next` has returned undefined. */
  close(): void {
    this.#source.close();
  }
}

/**
 * The first key of a list file, from its first few KiB.
 *
 * @returns undefined when the file holds no key
 * @throws MigrateError with exit code 2 when the first line is unfit, or the file begins as no list
 *   does: with a byte order mark, or with CR LF at the end of every line
 */
export async function firstKeyOf(file: ListFile): Promise<ObjectKey | undefined> {
  const source = openLines(file, { offset: 0, scratch: new Scratch() });
  const parser = lineParser(file.format);
  try {
    let lineNumber = 0;
    for (;;) {
      const block = await source.next(HEAD_BYTES);
      if (block === undefined) return undefined;
      const wrong = lineNumber === 0 ? problemOfHead(block.bytes, file) : undefined;
      if (wrong !== undefined) throw lineError(file, 1, wrong);
      for (const line of eachLine(block.bytes)) {
        lineNumber++;
        const { keys, problem } = await parser.parse(line, BEFORE_ALL);
        if (problem !== undefined) throw lineError(file, lineNumber, problem);
        if (keys[0] !== undefined) return keys[0];
      }
    }
  } finally {
    source.close();
  }
}

function* eachLine(bytes: Buffer): Generator<Buffer> {
  for (let start = 0, end: number; start < bytes.length; start = end) {
    end = bytes.indexOf(LF, start) + 1 || bytes.length;
    yield bytes.subarray(start, end);
  }
}

function problemOfHead(bytes: Buffer, file: ListFile): LineProblem | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)
    return { kind: 'byte-order-mark' };
  // In a .csv list CR LF is an end of line like LF: the CR of a key is escaped.
  if (file.format === 'plain' && everyLineEndsInCr(bytes)) return { kind: 'crlf' };
  return undefined;
}

function everyLineEndsInCr(bytes: Buffer): boolean {
  let end = bytes.indexOf(LF);
  if (end === -1) return false;
  for (; end !== -1; end = bytes.indexOf(LF, end + 1)) {
    if (bytes[end - 1] !== CR) return false;
  }
  return true;
}

/** Counts the LFs before `end`. Only errors need it, so that a reader may begin anywhere. */
async function countLines(file: ListFile, end: number): Promise<number> {
  const into = Buffer.allocUnsafe(Math.min(end, COUNTING_BYTES));
  let lines = 0;
  for (let offset = 0; offset < end; offset += COUNTING_BYTES) {
    const length = Math.min(COUNTING_BYTES, end - offset);
    const bytes = await readAt(file, { offset, length, into });
    for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) lines++;
  }
  return lines;
}
