/**
 * Reads one directory into what the walk needs: its names in the order in which their keys come.
 *
 * A directory's name is given with a slash at its end. Sorted that way, the names of a directory are
 * in the byte order of all paths below them: no file's name holds a slash, so a file and everything
 * in `name/` compare as the file and `name/` do. A depth-first walk then needs no sort over all keys.
 *
 * A file system's refusal is counted and told, never thrown: the walk goes on.
 */
import type { Stats } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import {
  type EntryType,
  entryChunks,
  lstatEach,
  lstatEachSync,
  readEntries,
  readEntriesSync,
  type StatSink,
  statPath,
  statPathSync,
} from './raw-directory.ts';
import { ReadPace } from './read-pace.ts';
import { SortedNames } from './sorted-names.ts';
import type { SkippedKind, WalkCounts } from './walk-counts.ts';

/** Sorted names of a directory. */
export interface Batch {
  /** Byte strings; those of directories end with a slash. */
  readonly names: readonly string[];
  readonly details: FileDetails | undefined;
}

/** One value for each name, NaN for directories. */
interface FileDetails {
  /** Bytes. */
  readonly size: Float64Array;
  /** Milliseconds since the epoch. */
  readonly lastModifiedMs: Float64Array;
}

/** A directory that was read: at once, or so long that the rest of it is read when its turn comes. */
export type Listing =
  | { readonly kind: 'whole'; readonly batch: Batch }
  | { readonly kind: 'long'; readonly long: LongListing };

/** Figures that decide how directories are read, not what comes of it. */
export interface Tuning {
  /** Calls that take longer in the mean are left to other threads; see read-pace.ts. */
  slowCallMs?: number;
  /** Directories whose size is at least this are read in chunks; default 4 MiB. */
  longDirectoryBytes?: number;
  /** Names of a long directory that are sorted in memory at once; default 524,288. */
  runNames?: number;
}

export interface DirectoryReaderOptions {
  /** The top directory, a byte string that ends with a slash. */
  root: string;
  /** Added to while reading. */
  counts: WalkCounts;
  /** Whether files come with size and time; costs an lstat each. */
  details: boolean;
  /** Files modified before this time (ms since the epoch) are left out; costs an lstat each. */
  notBeforeMs?: number | undefined;
  /** A directory below the top one to pass over, as its path from there (`a/b/`), a byte string. */
  excluded?: string | undefined;
  /** An existing folder with room for the names of the longest directory, which are sorted there. */
  spillFolder: string;
  /** Default: the figures that were measured to be good. */
  tuning?: Tuning | undefined;
  /** Told of each directory or file that could not be read, with its path below the top one, a byte string. */
  onUnreadable: (path: string, error: NodeJS.ErrnoException) => void;
}

/**
 * From this size on a directory is read in chunks; ext4 takes about 35 bytes for an entry. Where the
 * size tells nothing (some FUSE file systems), a directory is read whole, with about 300 bytes of
 * memory for an entry.
 */
const LONG_DIRECTORY_BYTES = 4 * 1024 * 1024;
/** Entries read of a long directory before the walk comes to it. */
const READ_AHEAD_ENTRIES = 64 * 1024;

/** Files whose details are waited for before it is looked again how quick that is: 32 ms at 1 ms each. */
const STATS_WAITED_FOR = 32;
/** The same for those that are left to other threads. */
const STATS_LEFT = 1024;

export class DirectoryReader {
  readonly #options: DirectoryReaderOptions;
  readonly #readPace: ReadPace;
  readonly #statPace: ReadPace;
  readonly #longDirectoryBytes: number;

  constructor(options: DirectoryReaderOptions) {
    this.#options = options;
    const { slowCallMs, longDirectoryBytes = LONG_DIRECTORY_BYTES } = options.tuning ?? {};
    this.#readPace = new ReadPace(slowCallMs);
    this.#statPace = new ReadPace(slowCallMs);
    this.#longDirectoryBytes = longDirectoryBytes;
  }

  /** Whether directories are worth reading before the walk comes to them. */
  isWorthReadingAhead(): boolean {
    return this.#readPace.isSlow();
  }

  /** @param prefix - the directory's path below the top one: empty, or ending with a slash */
  async read(prefix: string): Promise<Listing> {
    const names: string[] = [];
    try {
      const length = this.#readPace.isQuick()
        ? this.#readWholeSync(prefix, names)
        : await this.#readWhole(prefix, names);
      if (length === 'long') return await this.#readLong(prefix);
      this.#options.counts.directories++;
      // libuv sorts already, but by names without the slash.
      if (!isAscending(names)) names.sort();
      return { kind: 'whole', batch: await this.#finish(prefix, names) };
    } catch (error) {
      this.#refused(prefix, error);
      return { kind: 'whole', batch: { names: [], details: undefined } };
    }
  }

  /** Reads the directory unless it is long. */
  async #readWhole(prefix: string, names: string[]): Promise<'whole' | 'long'> {
    this.#readPace.countParallel();
    const path = this.#options.root + prefix;
    if ((await statPath(path)).size >= this.#longDirectoryBytes) return 'long';
    await readEntries(path, this.#collector(prefix, names));
    return 'whole';
  }

  #readWholeSync(prefix: string, names: string[]): 'whole' | 'long' {
    const path = this.#options.root + prefix;
    let length: 'whole' | 'long' = 'long';
    this.#readPace.waitFor(1, () => {
      if (statPathSync(path).size >= this.#longDirectoryBytes) return;
      readEntriesSync(path, this.#collector(prefix, names));
      length = 'whole';
    });
    return length;
  }

  async #readLong(prefix: string): Promise<Listing> {
    const long = new LongListing({
      chunks: (names) => entryChunks(this.#options.root + prefix, this.#collector(prefix, names)),
      sorted: new SortedNames({
        folder: this.#options.spillFolder,
        runNames: this.#options.tuning?.runNames,
      }),
      finish: (names) => this.#finish(prefix, names),
      onRead: () => this.#options.counts.directories++,
      onRefused: (error) => this.#refused(prefix, error),
    });
    await long.readAhead();
    return { kind: 'long', long };
  }

  #collector(prefix: string, names: string[]): (name: string, type: EntryType) => void {
    const { counts, excluded } = this.#options;
    return (name, type) => {
      counts.entries++;
      if (type.isFile()) names.push(name);
      else if (!type.isDirectory()) counts.skipped[skippedKind(type)]++;
      else if (`${prefix}${name}/` !== excluded) names.push(`${name}/`);
    };
  }

  /** Adds the details that are asked for, and leaves out the files they disqualify. */
  async #finish(prefix: string, names: string[]): Promise<Batch> {
    const { details, notBeforeMs } = this.#options;
    if (!details && notBeforeMs === undefined) return { names, details: undefined };
    const size = new Float64Array(names.length).fill(Number.NaN);
    const lastModifiedMs = new Float64Array(names.length).fill(Number.NaN);
    const kept = new Uint8Array(names.length);
    const files: number[] = [];
    names.forEach((name, index) => {
      if (name.endsWith('/')) kept[index] = 1;
      else files.push(index);
    });
    const fileNames = files.map((index) => names[index] as string);
    await this.#lstatAll(prefix, fileNames, (which, answer) => {
      const index = files[which] as number;
      if (!this.#wanted(prefix + (fileNames[which] as string), answer)) return;
      kept[index] = 1;
      size[index] = answer.size;
      lastModifiedMs[index] = answer.mtimeMs;
    });
    return {
      names: names.filter((_, index) => kept[index] === 1),
      details: {
        size: size.filter((_, index) => kept[index] === 1),
        lastModifiedMs: lastModifiedMs.filter((_, index) => kept[index] === 1),
      },
    };
  }

  async #lstatAll(prefix: string, names: readonly string[], take: StatSink): Promise<void> {
    const folder = this.#options.root + prefix;
    for (let from = 0; from < names.length; ) {
      const isQuick = this.#statPace.isQuick();
      const slice = names.slice(from, from + (isQuick ? STATS_WAITED_FOR : STATS_LEFT));
      const first = from;
      const takeOfSlice: StatSink = (index, answer) => take(first + index, answer);
      from += slice.length;
      if (isQuick) {
        this.#statPace.waitFor(slice.length, () => lstatEachSync(folder, slice, takeOfSlice));
        // Lets a signal or the progress line have its turn.
        if (from < names.length) await setImmediate();
      } else {
        this.#statPace.countParallel();
        await lstatEach(folder, slice, takeOfSlice);
      }
    }
  }

  #wanted(path: string, answer: Stats | NodeJS.ErrnoException): answer is Stats {
    const { counts, notBeforeMs } = this.#options;
    if (answer instanceof Error) {
      this.#refused(path, answer);
      return false;
    }
    if (!answer.isFile()) {
      counts.vanished++;
      return false;
    }
    if (notBeforeMs === undefined || answer.mtimeMs >= notBeforeMs) return true;
    counts.older++;
    return false;
  }

  #refused(path: string, error: unknown): void {
    const failure = systemError(error);
    if (failure.code === 'ENOENT' || failure.code === 'ENOTDIR') {
      this.#options.counts.vanished++;
      return;
    }
    this.#options.counts.unreadable++;
    this.#options.onUnreadable(path, failure);
  }
}

interface LongListingOptions {
  /** Reads the directory, pushing the names of each chunk. */
  chunks: (names: string[]) => AsyncGenerator<undefined, void, undefined>;
  sorted: SortedNames;
  finish: (names: string[]) => Promise<Batch>;
  onRead: () => void;
  onRefused: (error: unknown) => void;
}

/** A directory too long to be held: its names are collected, sorted and handed on in batches. */
export class LongListing {
  readonly #options: LongListingOptions;
  readonly #fresh: string[] = [];
  readonly #chunks: AsyncGenerator<undefined, void, undefined>;
  #batches: AsyncGenerator<string[], void, undefined> | undefined;

  constructor(options: LongListingOptions) {
    this.#options = options;
    this.#chunks = options.chunks(this.#fresh);
  }

  /** Names in memory before the first `next`. */
  get namesHeld(): number {
    return this.#fresh.length;
  }

  /** @throws the error of the system call; the listing is closed then */
  async readAhead(): Promise<void> {
    while (this.#fresh.length < READ_AHEAD_ENTRIES) {
      if ((await this.#chunks.next()).done === true) return;
    }
  }

  /**
   * The next batch, ascending within and from batch to batch; undefined at the end.
   *
   * @throws MigrateError (3) when the names cannot be sorted for want of disk space
   */
  async next(): Promise<Batch | undefined> {
    if (this.#batches === undefined && !(await this.#readAll())) return undefined;
    const { value } = await (this.#batches as AsyncGenerator<string[], void, undefined>).next();
    if (value !== undefined) return await this.#options.finish(value);
    await this.close();
    return undefined;
  }

  async #readAll(): Promise<boolean> {
    const { sorted } = this.#options;
    for (;;) {
      await sorted.add(this.#fresh);
      this.#fresh.length = 0;
      try {
        if ((await this.#chunks.next()).done === true) break;
      } catch (error) {
        await this.close();
        this.#options.onRefused(error);
        return false;
      }
    }
    await sorted.add(this.#fresh);
    this.#fresh.length = 0;
    this.#options.onRead();
    this.#batches = sorted.batches();
    return true;
  }

  /** Needed when the batches are not taken to their end. */
  async close(): Promise<void> {
    await this.#chunks.return();
    await this.#options.sorted.close();
  }
}

function skippedKind(type: EntryType): SkippedKind {
  if (type.isSymbolicLink()) return 'symlink';
  if (type.isSocket()) return 'socket';
  if (type.isFIFO()) return 'fifo';
  return type.isBlockDevice() || type.isCharacterDevice() ? 'device' : 'other';
}

function isAscending(names: readonly string[]): boolean {
  for (let i = 1; i < names.length; i++) {
    if ((names[i - 1] as string) > (names[i] as string)) return false;
  }
  return true;
}

/** Anything else than a failed system call is a defect of ours or a full disk, and ends the walk. */
function systemError(error: unknown): NodeJS.ErrnoException {
  if (error instanceof Error && 'syscall' in error) return error as NodeJS.ErrnoException;
  throw error;
}
