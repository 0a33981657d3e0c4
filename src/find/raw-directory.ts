/**
 * One directory's entries as the file system gives them: in no order, names as byte strings.
 *
 * `readEntries` takes them in one call, which is quickest but holds them all; `entryChunks` takes
 * them as they are asked for. Both find out the kind of an entry when the file system does not
 * tell it. What ends in `Sync` keeps the thread until the file system has answered, the rest leaves
 * that to libuv's threads. Errors are those of the system calls. Every path is a byte string, a
 * folder's ends with a slash.
 */
import {
  type Dir,
  type Dirent,
  lstat,
  lstatSync,
  opendir,
  readdir,
  readdirSync,
  type Stats,
  stat,
  statSync,
} from 'node:fs';

/** What is asked of an entry's kind; both kinds of answers Node has can tell. */
export type EntryType = Pick<
  Dirent | Stats,
  | 'isFile'
  | 'isDirectory'
  | 'isSymbolicLink'
  | 'isSocket'
  | 'isFIFO'
  | 'isBlockDevice'
  | 'isCharacterDevice'
>;

/** Gets each entry once. Not called for an entry that was gone before its kind was known. */
export type EntrySink = (name: string, type: EntryType) => void;

/** Entries of a chunk: about what the kernel gives in one call when names have 20 bytes. */
const CHUNK_ENTRIES = 1024;
/** lstat calls for one directory at once: keeps the threads busy, holds little. */
const STATS_AT_ONCE = 32;

function toPath(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}

export function statPath(path: string): Promise<Stats> {
  return new Promise((resolve, reject) => {
    stat(toPath(path), (error, stats) => (error === null ? resolve(stats) : reject(error)));
  });
}

export function statPathSync(path: string): Stats {
  return statSync(toPath(path));
}

/** Gets the answer for the name at an index. */
export type StatSink = (index: number, answer: Stats | NodeJS.ErrnoException) => void;

/** lstat of each name in a folder, many at once; `take` gets the answers in any order. */
export function lstatEach(folder: string, names: readonly string[], take: StatSink): Promise<void> {
  return new Promise((resolve) => {
    let next = 0;
    let left = names.length;
    const begin = () => {
      const index = next++;
      if (index >= names.length) return;
      lstat(toPath(folder + (names[index] as string)), (error, stats) => {
        take(index, error ?? stats);
        left--;
        if (left === 0) resolve();
        else begin();
      });
    };
    if (left === 0) resolve();
    for (let i = 0; i < STATS_AT_ONCE; i++) begin();
  });
}

export function lstatEachSync(folder: string, names: readonly string[], take: StatSink): void {
  for (let index = 0; index < names.length; index++) {
    let answer: Stats | NodeJS.ErrnoException;
    try {
      answer = lstatSync(toPath(folder + (names[index] as string)));
    } catch (error) {
      answer = error as NodeJS.ErrnoException;
    }
    take(index, answer);
  }
}

export async function readEntries(folder: string, sink: EntrySink): Promise<void> {
  let entries: Dirent[];
  try {
    entries = await new Promise((resolve, reject) => {
      const options = { withFileTypes: true, encoding: 'latin1' } as const;
      readdir(toPath(folder), options, (error, found) => {
        if (error === null) resolve(found);
        else reject(error);
      });
    });
  } catch (error) {
    if (!isMissingKind(error)) throw error;
    await readUntyped(folder, sink);
    return;
  }
  for (const entry of entries) sink(entry.name, entry);
}

export function readEntriesSync(folder: string, sink: EntrySink): void {
  let entries: Dirent[];
  try {
    entries = readdirSync(toPath(folder), { withFileTypes: true, encoding: 'latin1' });
  } catch (error) {
    if (!isMissingKind(error)) throw error;
    const names = readdirSync(toPath(folder), { encoding: 'latin1' });
    const kinds = new KindsOfNames(names, sink);
    lstatEachSync(folder, names, kinds.take);
    kinds.throwFailure();
    return;
  }
  for (const entry of entries) sink(entry.name, entry);
}

/**
 * Gives the sink a chunk of entries for each step. On a file system that tells no kinds the first
 * chunk is the whole directory. To be ended by `return` when it is not run to its end.
 */
export async function* entryChunks(
  folder: string,
  sink: EntrySink,
): AsyncGenerator<undefined, void, undefined> {
  const directory = await open(folder);
  let first = true;
  try {
    while (await readChunk(directory, sink)) {
      first = false;
      yield;
    }
  } catch (error) {
    if (!first || !isMissingKind(error)) throw error;
    await readUntyped(folder, sink);
  } finally {
    await directory.close();
  }
}

function open(folder: string): Promise<Dir> {
  return new Promise((resolve, reject) => {
    const options = { encoding: 'latin1', bufferSize: CHUNK_ENTRIES } as const;
    opendir(toPath(folder), options, (error, directory) => {
      if (error === null) resolve(directory);
      else reject(error);
    });
  });
}

/** @returns false at the end of the directory */
async function readChunk(directory: Dir, sink: EntrySink): Promise<boolean> {
  // One wait brings a whole chunk into memory; a wait for each entry would cost more than all else.
  let entry = await directory.read();
  for (let taken = 1; entry !== null; taken++) {
    sink(entry.name, entry);
    if (taken === CHUNK_ENTRIES) return true;
    entry = directory.readSync();
  }
  return false;
}

/**
 * Whether the file system does not tell kinds (d_type is DT_UNKNOWN: XFS with ftype=0, some FUSE and
 * network file systems). Node then calls lstat itself, but refuses to join our path, which is bytes,
 * to a name that is a string.
 */
function isMissingKind(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_INVALID_ARG_TYPE';
}

async function readUntyped(folder: string, sink: EntrySink): Promise<void> {
  const names = await new Promise<string[]>((resolve, reject) => {
    readdir(toPath(folder), { encoding: 'latin1' }, (error, found) => {
      if (error === null) resolve(found);
      else reject(error);
    });
  });
  const kinds = new KindsOfNames(names, sink);
  await lstatEach(folder, names, kinds.take);
  kinds.throwFailure();
}

/** Hands on names with the kinds that lstat tells, and keeps the first failure. */
class KindsOfNames {
  readonly take: StatSink;
  #failure: NodeJS.ErrnoException | undefined;

  constructor(names: readonly string[], sink: EntrySink) {
    this.take = (index, answer) => {
      if (!(answer instanceof Error)) sink(names[index] as string, answer);
      else if (answer.code !== 'ENOENT') this.#failure ??= answer;
    };
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
