/**
 * Sorts the names of one directory by bytes, however many there are.
 *
 * Up to `runNames` of them are sorted in memory; beyond, sorted runs go to files and are merged.
 * The files have no name once they are open, so nothing is left of them however the process ends.
 * Memory: one run, or 64 KiB a run while merging (100 million names are 191 runs).
 */
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { MigrateError, messageOf } from '../errors.ts';
import { displayText } from '../object-key.ts';

export interface SortedNamesOptions {
  /** Where runs are written; exists. */
  folder: string;
  /** Names sorted in memory at once; an integer ≥ 1, default 524,288. */
  runNames?: number | undefined;
}

const DEFAULT_RUN_NAMES = 512 * 1024;
const READ_BYTES = 64 * 1024;
const WRITE_NAMES = 8 * 1024;
const MERGED_NAMES = 8 * 1024;
/** Ends a name in a run: the one byte beside the slash that no name has, and a directory's ends with a slash. */
const END = '\0';

let runsBegun = 0;

/** Fill it with `add`, then read it with `batches`; end either way with `close`. */
export class SortedNames {
  readonly #folder: string;
  readonly #runNames: number;
  readonly #runs: Run[] = [];
  #names: string[] = [];

  constructor({ folder, runNames = DEFAULT_RUN_NAMES }: SortedNamesOptions) {
    this.#folder = folder;
    this.#runNames = runNames;
  }

  /**
   * Takes names as byte strings without NUL, in any order.
   *
   * @throws MigrateError (3) when a run cannot be written
   */
  async add(names: readonly string[]): Promise<void> {
    for (const name of names) this.#names.push(name);
    if (this.#names.length < this.#runNames) return;
    const run = await Run.create(this.#folder);
    this.#runs.push(run);
    await run.write(this.#names.toSorted());
    this.#names = [];
  }

  /** All names in ascending order, in batches of any size. */
  async *batches(): AsyncGenerator<string[], void, undefined> {
    const rest = this.#names.toSorted();
    this.#names = [];
    if (this.#runs.length === 0) yield rest;
    else yield* merged([...this.#runs.map((run) => run.read()), once(rest)]);
  }

  async close(): Promise<void> {
    this.#names = [];
    for (const run of this.#runs.splice(0)) await run.close();
  }
}

/** A file of sorted names without a name of its own. */
class Run {
  readonly #file: FileHandle;
  readonly #path: string;

  private constructor(file: FileHandle, path: string) {
    this.#file = file;
    this.#path = path;
  }

  static async create(folder: string): Promise<Run> {
    const path = join(folder, `.sort-${process.pid}-${runsBegun++}`);
    try {
      const file = await open(path, 'wx+', 0o600);
      await unlink(path);
      return new Run(file, path);
    } catch (cause) {
      throw spillError(path, cause);
    }
  }

  async write(names: readonly string[]): Promise<void> {
    try {
      for (let i = 0; i < names.length; i += WRITE_NAMES) {
        const text = names.slice(i, i + WRITE_NAMES).join(END) + END;
        const bytes = Buffer.from(text, 'latin1');
        for (let written = 0; written < bytes.length; ) {
          written += (await this.#file.write(bytes, written)).bytesWritten;
        }
      }
    } catch (cause) {
      throw spillError(this.#path, cause);
    }
  }

  async *read(): AsyncGenerator<string[], void, undefined> {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    let position = 0;
    let torn = '';
    for (;;) {
      const { bytesRead } = await this.#file.read(buffer, 0, READ_BYTES, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      const names = (torn + buffer.toString('latin1', 0, bytesRead)).split(END);
      torn = names.pop() ?? '';
      if (names.length > 0) yield names;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function* once(names: string[]): AsyncGenerator<string[], void, undefined> {
  if (names.length > 0) yield names;
}

/** Where the merge stands in one run. */
interface Cursor {
  readonly source: AsyncGenerator<string[], void, undefined>;
  names: string[];
  index: number;
  /** `names[index]`. */
  head: string;
}

async function* merged(
  sources: readonly AsyncGenerator<string[], void, undefined>[],
): AsyncGenerator<string[], void, undefined> {
  const heap: Cursor[] = [];
  for (const source of sources) {
    const cursor: Cursor = { source, names: [], index: 0, head: '' };
    if (await refill(cursor)) heap.push(cursor);
  }
  // An ascending array is a heap.
  heap.sort((a, b) => (a.head < b.head ? -1 : 1));
  let batch: string[] = [];
  for (let top = heap[0]; top !== undefined; top = heap[0]) {
    batch.push(top.head);
    if (batch.length === MERGED_NAMES) {
      yield batch;
      batch = [];
    }
    const next = top.names[++top.index];
    if (next !== undefined) {
      top.head = next;
    } else if (!(await refill(top))) {
      const last = heap.pop() as Cursor;
      if (last === top) break;
      heap[0] = last;
    }
    sinkTop(heap);
  }
  if (batch.length > 0) yield batch;
}

async function refill(cursor: Cursor): Promise<boolean> {
  const { value } = await cursor.source.next();
  const head = value?.[0];
  if (value === undefined || head === undefined) return false;
  cursor.names = value;
  cursor.index = 0;
  cursor.head = head;
  return true;
}

function sinkTop(heap: Cursor[]): void {
  const moved = heap[0] as Cursor;
  let hole = 0;
  for (;;) {
    let child = 2 * hole + 1;
    let least = heap[child];
    const right = heap[child + 1];
    if (least !== undefined && right !== undefined && right.head < least.head) {
      least = right;
      child++;
    }
    if (least === undefined || moved.head <= least.head) break;
    heap[hole] = least;
    hole = child;
  }
  heap[hole] = moved;
}

function spillError(path: string, cause: unknown): MigrateError {
  return new MigrateError(`cannot write the sort file ${displayText(path)}: ${messageOf(cause)}`, {
    exitCode: 3,
    hint: 'Make room or choose another output folder, and run the command again.',
    cause,
  });
}
