/**
 * The keys of many list files as one ascending sequence, in pages.
 *
 * Files are read as far as the merge has come and no further: a file is touched when the merge
 * reaches its first key. Between files the merge gallops: it takes whole runs of keys from one file
 * up to the next key of any other, so files that do not overlap cost nothing a key.
 *
 * Memory is bounded however many files overlap: {@link BLOCKS_BYTES} of list text and the strings made
 * of it (10,000 files that interleave key by key peak at 500 MB, most of it V8's slack). No descriptor is
 * held. Of compressed files at most {@link MAX_OPEN_COMPRESSED} may overlap at one key: each holds a
 * decompressor.
 */
import type { KeyPage } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import { BEFORE_ALL, displayKey, type ObjectKey } from '../object-key.ts';
import { KeyHeap } from './key-heap.ts';
import type { ListFile } from './list-file.ts';
import { type KeyBlock, ListReader } from './list-reader.ts';
import { Scratch } from './whole-lines.ts';

/** List text in memory for all files together. */
const BLOCKS_BYTES = 16 * 1024 * 1024;

/** Fewer bytes a read than this cost more in calls than they save in memory. */
const MIN_BLOCK_BYTES = 2 * 1024;

/**
 * Measured by bench/plan.mjs: larger blocks outlive V8's young generation and are slower, at 1 MiB by
 * a quarter and with half as much memory again. Parsing one blocks the event loop: for a millisecond
 * when it is plain, for 30 when it is a `.csv` with quotes.
 */
const MAX_BLOCK_BYTES = 64 * 1024;

/** A file that overlaps thousands of others may be needed for a few keys only. */
const FIRST_BLOCK_BYTES = 8 * 1024;
const BLOCK_GROWTH = 8;

/** With about 250 KiB each, 64 MiB for all. */
const MAX_OPEN_COMPRESSED = 256;

/** A list file and where to begin in it. */
export interface MergeInput {
  readonly file: ListFile;
  readonly firstKey: ObjectKey;
  /** See {@link ListReader}'s options. */
  readonly offset: number;
}

export interface MergeOptions {
  /** Keys up to and including this one are left out. */
  readonly after: ObjectKey;
  /** Keys a page; an integer ≥ 1. Only the last page has fewer. */
  readonly pageKeys: number;
  /** Bytes of files that are not among the inputs because nothing in them is wanted. */
  readonly skippedBytes: number;
  /** Once aborted, the next block is not read, and its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Largest block to read, in bytes; at least 1. By default as large as pays. */
  readonly maxBlockBytes?: number;
}

/**
 * Merges the inputs' keys, each once, in strictly ascending order.
 *
 * `listBytes` of the last page counts all bytes of all files; for that, the last page may be without
 * keys.
 *
 * @throws MigrateError when a line is unfit or a file changed. Full pages of keys before that are
 *   yielded first, none with a key of the block in question.
 */
export async function* mergeLists(
  inputs: readonly MergeInput[],
  options: MergeOptions,
): AsyncGenerator<KeyPage, void, undefined> {
  const merge = new Merge(inputs, options);
  try {
    let reported = 0;
    for (;;) {
      const page = await merge.nextPage();
      if (page.keys.length === 0 && page.listBytes === reported) return;
      reported = page.listBytes;
      yield page;
    }
  } finally {
    merge.close();
  }
}

class Merge {
  readonly #options: MergeOptions;
  readonly #heap: KeyHeap<Cursor>;
  readonly #scratch = new Scratch();
  #last: ObjectKey;
  #listBytes: number;
  #openFiles = 0;
  #openCompressed = 0;

  constructor(inputs: readonly MergeInput[], options: MergeOptions) {
    this.#options = options;
    this.#heap = new KeyHeap(inputs.map((input) => new Cursor(input)));
    this.#last = options.after;
    this.#listBytes = inputs.reduce((bytes, { offset }) => bytes + offset, options.skippedBytes);
  }

  /** @returns a page of `pageKeys` keys; fewer, then none, when there are no more */
  async nextPage(): Promise<KeyPage> {
    const keys: ObjectKey[] = [];
    while (keys.length < this.#options.pageKeys) {
      const cursor = this.#heap.top;
      if (cursor === undefined) break;
      if (!cursor.hasKey) await this.#read(cursor);
      else if (cursor.head === this.#last) this.#advance(cursor, 1);
      else this.#take(cursor, keys);
    }
    return { keys, listBytes: this.#listBytes };
  }

  /** Moves the run of keys that only `cursor` can have next to `page`. */
  #take(cursor: Cursor, page: ObjectKey[]): void {
    const run = cursor.keysBefore(this.#heap.nextHead, this.#options.pageKeys - page.length);
    for (let i = 0; i < run; i++) page.push(cursor.keyAt(i));
    this.#last = cursor.keyAt(run - 1);
    this.#advance(cursor, run);
  }

  #advance(cursor: Cursor, keys: number): void {
    this.#listBytes += cursor.advance(keys);
    // A cursor at the end of its block keeps its head: it stays on top, and is read next.
    if (cursor.hasKey) this.#heap.settle();
  }

  async #read(cursor: Cursor): Promise<void> {
    this.#options.signal?.throwIfAborted();
    if (cursor.reader === undefined) this.#open(cursor);
    const block = await cursor.reader?.next(this.#blockBytes(cursor));
    if (block === undefined) {
      this.#finish(cursor);
    } else {
      this.#listBytes += cursor.enter(block, this.#last);
      if (cursor.hasKey) this.#heap.settle();
    }
  }

  #open(cursor: Cursor): void {
    this.#openFiles++;
    if (cursor.file.compressed && ++this.#openCompressed > MAX_OPEN_COMPRESSED) {
      throw new MigrateError(
        `more than ${MAX_OPEN_COMPRESSED} compressed list files overlap at key "${displayKey(cursor.head)}"`,
        { exitCode: 2, hint: 'Decompress the list files with gunzip, or merge them with sort -m.' },
      );
    }
    cursor.open(this.#scratch);
  }

  #blockBytes(cursor: Cursor): number {
    const share = Math.max(MIN_BLOCK_BYTES, Math.floor(BLOCKS_BYTES / this.#openFiles));
    const largest = this.#options.maxBlockBytes ?? MAX_BLOCK_BYTES;
    return Math.min(cursor.growBlock(), share, largest);
  }

  #finish(cursor: Cursor): void {
    this.#listBytes += cursor.finish();
    this.#openFiles--;
    if (cursor.file.compressed) this.#openCompressed--;
    this.#heap.removeTop();
  }

  close(): void {
    for (const cursor of this.#heap) cursor.reader?.close();
  }
}

const NO_KEYS: readonly ObjectKey[] = [];

/** How far the merge has come in one file. Methods that move it return the bytes of the file it moved on. */
class Cursor {
  readonly file: ListFile;
  readonly #offset: number;
  /** Its next key; before the file's first block and between blocks a key not above that. */
  head: ObjectKey;
  reader: ListReader | undefined;
  #keys = NO_KEYS;
  #at = 0;
  /** Bytes of the file before the current block, before its end, and counted so far. */
  #blockStart: number;
  #blockEnd: number;
  #counted: number;
  #blockBytes = FIRST_BLOCK_BYTES;

  constructor({ file, firstKey, offset }: MergeInput) {
    this.file = file;
    this.head = firstKey;
    this.#offset = offset;
    this.#blockStart = offset;
    this.#blockEnd = offset;
    this.#counted = offset;
  }

  get hasKey(): boolean {
    return this.#at < this.#keys.length;
  }

  open(scratch: Scratch): void {
    this.reader = new ListReader(this.file, { offset: this.#offset, scratch });
  }

  /** The size of the block to read now; the one after it will be larger. */
  growBlock(): number {
    const bytes = this.#blockBytes;
    this.#blockBytes = Math.min(bytes * BLOCK_GROWTH, MAX_BLOCK_BYTES);
    return bytes;
  }

  /** Takes the next block, without its keys up to and including `last`. */
  enter(block: KeyBlock, last: ObjectKey): number {
    this.#keys = block.keys;
    this.#at = 0;
    this.#blockStart = this.#blockEnd;
    this.#blockEnd = block.fileBytes;
    return this.advance(this.#firstAfter(last));
  }

  /** The key `ahead` places beyond the next one; it must be in the block. */
  keyAt(ahead: number): ObjectKey {
    return this.#keys[this.#at + ahead] as ObjectKey;
  }

  /** How many keys to take, 1 to `most`: those before `limit`, or just the next one when it is `limit`. */
  keysBefore(limit: ObjectKey | undefined, most: number): number {
    const keys = this.#keys;
    const end = Math.min(keys.length, this.#at + most);
    if (limit === undefined || (keys[end - 1] as ObjectKey) < limit) return end - this.#at;
    // Doubling steps first: runs are short when files interleave, long when they hardly overlap.
    let step = 1;
    while (this.#at + step < end && (keys[this.#at + step] as ObjectKey) < limit) step *= 2;
    const range = { low: this.#at + (step >> 1), high: Math.min(this.#at + step, end) };
    const found = partition(range, (i) => (keys[i] as ObjectKey) < limit);
    return Math.max(1, found - this.#at);
  }

  advance(keys: number): number {
    this.#at += keys;
    const next = this.#keys[this.#at];
    if (next !== undefined) this.head = next;
    const share = this.#keys.length === 0 ? 1 : this.#at / this.#keys.length;
    return this.#count(this.#blockStart + Math.floor((this.#blockEnd - this.#blockStart) * share));
  }

  finish(): number {
    return this.#count(this.file.size);
  }

  #count(fileBytes: number): number {
    const moved = fileBytes - this.#counted;
    this.#counted = fileBytes;
    return moved;
  }

  #firstAfter(last: ObjectKey): number {
    const keys = this.#keys;
    if (last === BEFORE_ALL || keys.length === 0 || (keys[0] as ObjectKey) > last) return 0;
    return partition({ low: 0, high: keys.length }, (i) => (keys[i] as ObjectKey) <= last);
  }
}

/** The first index in [low, high] that is not `before`, given that all of those come first. */
function partition({ low, high }: { low: number; high: number }, before: (i: number) => boolean) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
