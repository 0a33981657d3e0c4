/**
 * Writes sorted keys as list files: what s3find, `s3migrate list` and `--failed-to-folder` leave behind.
 *
 * Guarantees: each file is strictly ascending by bytes, and so are the files one after another; a
 * reader sees none of them before all are complete, because every file has a dot name until
 * {@link ListWriter.finish} renames them. A run that was cut short, even by `kill -9`, can therefore
 * never pass for a whole listing. Memory does not grow with the number of keys.
 *
 * The caller brings the keys in order and calls `finish` or `discard`. docs/formats.md specifies the
 * files. They are made under the umask like those of any other tool (0666, folders 0777), since
 * other hosts read them and they hold names only; they are not synced to disk.
 */
import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { MigrateError, messageOf } from '../errors.ts';
import { makeDirectories } from '../make-directories.ts';
import {
  displayKey,
  displayText,
  escapeKey,
  MAX_KEY_BYTES,
  type ObjectKey,
} from '../object-key.ts';

/** What a `.csv` list can tell of an object beside its key. */
type ListColumn = 'size' | 'etag' | 'last_modified';

export interface ListWriterOptions {
  /** Must be new or empty; made with its parents when it does not exist. */
  folder: string;
  /** Keys of one file but the last; an integer ≥ 1, default 100,000. */
  keysPerFile?: number;
  /** Writes `.csv` lists with these columns after the key instead of plain ones. */
  csv?: { columns: readonly ListColumn[] };
}

/**
 * Keys in ascending order, each being `prefix` and one of `names`: files of a directory, say, or
 * whole keys with no prefix. The names all have the same prefix so that nothing need be joined to
 * compare neighbours.
 */
interface ListRows {
  /** A byte string, like the names. Default: none. */
  readonly prefix?: string;
  readonly names: readonly string[];
  /** Bytes, one for each name. Needed when the lists have that column, like the next two. */
  readonly size?: ArrayLike<number>;
  /** Without quotes. */
  readonly etag?: readonly string[];
  /** Milliseconds since the epoch. */
  readonly lastModifiedMs?: ArrayLike<number>;
}

export interface ListSummary {
  /** List files, those of escaped keys included. */
  readonly files: number;
  /** Keys in them. */
  readonly keys: number;
  /** Keys that no object can have (empty, or over 1,024 bytes); they are in no list. */
  readonly impossible: { readonly count: number; readonly example: ObjectKey | undefined };
}

export interface ListWriter {
  /** Files begun so far. */
  readonly files: number;
  /**
   * Takes the next keys. A key equal to the one before it is dropped. Await it before the next call.
   *
   * @throws MigrateError (3) when a key is below the one before it or a file cannot be written; what
   *   was written is removed
   */
  append(rows: ListRows): Promise<void>;
  /**
   * Completes the files and gives them their names. There is always at least one, so that a listing
   * of nothing (an empty destination) is told from a missing one.
   *
   * @throws MigrateError (3) when a file cannot be written
   */
  finish(): Promise<ListSummary>;
  /** Removes every file written; the folder stays. Does nothing after `finish`. */
  discard(): Promise<void>;
}

const DEFAULT_KEYS_PER_FILE = 100_000;
/** Bytes gathered before a write. */
const WRITE_BYTES = 512 * 1024;

/** @throws MigrateError (2) when the folder is not empty or cannot be made or read */
export async function createListWriter(options: ListWriterOptions): Promise<ListWriter> {
  await makeEmptyFolder(options.folder);
  return new FolderOfLists(options);
}

async function makeEmptyFolder(folder: string): Promise<void> {
  let present: string[];
  try {
    await makeDirectories(folder);
    present = await readdir(folder);
  } catch (cause) {
    throw new MigrateError(
      `cannot make the list folder ${displayText(folder)}: ${messageOf(cause)}`,
      {
        exitCode: 2,
        hint: 'Choose a folder that is new or empty and can be written.',
        cause,
      },
    );
  }
  const [first] = present;
  if (first !== undefined) {
    throw new MigrateError(
      `the list folder ${displayText(folder)} is not empty: it holds ${displayText(first)}`,
      { exitCode: 2, hint: 'Choose a folder that is new or empty, or remove what is in this one.' },
    );
  }
}

class FolderOfLists implements ListWriter {
  readonly #rows: ListSeries;
  /** Keys a plain list cannot hold; none when all lists are `.csv`. */
  readonly #escaped: ListSeries | undefined;
  readonly #columns: readonly ListColumn[] | undefined;
  #last: string | undefined;
  #keys = 0;
  #impossible = 0;
  #impossibleExample: ObjectKey | undefined;
  #open = true;

  constructor({ folder, keysPerFile = DEFAULT_KEYS_PER_FILE, csv }: ListWriterOptions) {
    this.#columns = csv?.columns;
    if (csv !== undefined) {
      const header = `${['key', ...csv.columns].join(',')}\n`;
      this.#rows = new ListSeries({ folder, keysPerFile, stem: '', extension: '.csv', header });
      return;
    }
    this.#rows = new ListSeries({ folder, keysPerFile, stem: '', extension: '.txt', header: '' });
    this.#escaped = new ListSeries({
      folder,
      keysPerFile,
      stem: 'escaped-',
      extension: '.csv',
      header: 'key\n',
    });
  }

  get files(): number {
    return this.#rows.files + (this.#escaped?.files ?? 0);
  }

  async append(rows: ListRows): Promise<void> {
    try {
      await (this.#isOrdinary(rows) ? this.#appendPlain(rows) : this.#appendOneByOne(rows));
    } catch (error) {
      await this.discard();
      throw error;
    }
  }

  /** Whether these rows can go to a plain list as they are: in order, none double, odd or too long. */
  #isOrdinary({ prefix = '', names }: ListRows): boolean {
    const first = names[0];
    if (this.#columns !== undefined || first === undefined) return false;
    if (this.#last !== undefined && prefix + first <= this.#last) return false;
    const longest = MAX_KEY_BYTES - prefix.length;
    if (first.length > longest || prefix + first === '') return false;
    for (let i = 1, before = first; i < names.length; i++) {
      const name = names[i] as string;
      if (name <= before || name.length > longest) return false;
      before = name;
    }
    return !isUnfitForPlain(prefix) && !names.some(isUnfitForPlain);
  }

  async #appendPlain({ prefix = '', names }: ListRows): Promise<void> {
    this.#last = prefix + (names.at(-1) as string);
    this.#keys += names.length;
    for (let taken = 0; taken < names.length; ) {
      const part = names.slice(taken, taken + this.#rows.room());
      // Few long strings are encoded far faster than many short ones.
      await this.#rows.write(`${prefix}${part.join(`\n${prefix}`)}\n`, part.length);
      taken += part.length;
    }
  }

  async #appendOneByOne(rows: ListRows): Promise<void> {
    const { prefix = '', names } = rows;
    for (let i = 0; i < names.length; i++) {
      const key = (prefix + (names[i] as string)) as ObjectKey;
      if (!this.#isNext(key)) continue;
      if (key === '' || key.length > MAX_KEY_BYTES) {
        this.#impossible++;
        this.#impossibleExample ??= key;
        continue;
      }
      this.#keys++;
      if (this.#columns !== undefined) {
        await this.#rows.write(csvRow(key, this.#columns, rows, i), 1);
      } else if (this.#escaped !== undefined && isUnfitForPlain(key)) {
        await this.#escaped.write(`${csvField(escapeKey(key))}\n`, 1);
      } else {
        await this.#rows.write(`${key}\n`, 1);
      }
    }
  }

  /** False for a double of the key before. */
  #isNext(key: ObjectKey): boolean {
    const last = this.#last;
    this.#last = key;
    if (last === undefined || key > last) return true;
    if (key === last) return false;
    throw new MigrateError(
      `keys to be listed are out of order: "${displayKey(key)}" comes after "${displayKey(last as ObjectKey)}"`,
      {
        exitCode: 3,
        hint: 'A list is sorted by bytes, and what these keys come from is not; no list was written.',
      },
    );
  }

  async finish(): Promise<ListSummary> {
    try {
      if (this.files === 0) await this.#rows.write('', 0);
      await this.#rows.complete();
      await this.#escaped?.complete();
    } catch (error) {
      await this.discard();
      throw error;
    }
    this.#open = false;
    return {
      files: this.files,
      keys: this.#keys,
      impossible: { count: this.#impossible, example: this.#impossibleExample },
    };
  }

  async discard(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#rows.remove();
    await this.#escaped?.remove();
  }
}

/** Lines end at a line feed, and list readers take a NUL for a damaged file. */
function isUnfitForPlain(bytes: string): boolean {
  return bytes.includes('\n') || bytes.includes('\0');
}

function csvRow(
  key: ObjectKey,
  columns: readonly ListColumn[],
  rows: ListRows,
  index: number,
): string {
  let row = csvField(escapeKey(key));
  for (const column of columns) row += `,${csvField(columnText(column, rows, index))}`;
  return `${row}\n`;
}

function columnText(column: ListColumn, rows: ListRows, index: number): string {
  switch (column) {
    case 'size':
      return String(rows.size?.[index] ?? '');
    case 'etag':
      return rows.etag?.[index] ?? '';
    case 'last_modified': {
      const ms = rows.lastModifiedMs?.[index];
      return ms === undefined ? '' : isoTime(ms);
    }
  }
}

/** Empty for a time that the calendar of ISO 8601 has no name for; file systems do hold such. */
function isoTime(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : '';
}

/** RFC 4180. Line breaks need no quotes: no escaped key has one. */
function csvField(text: string): string {
  return /[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

interface ListSeriesOptions {
  folder: string;
  keysPerFile: number;
  /** Names are stem, eight digits and extension, so that they sort as they were written. */
  stem: string;
  extension: string;
  header: string;
}

/** Files of one kind in a folder, filled one after another, under dot names until `complete`. */
class ListSeries {
  readonly #options: ListSeriesOptions;
  #files = 0;
  #current: FileHandle | undefined;
  #keysInCurrent = 0;
  #renamed = 0;
  readonly #buffer = Buffer.allocUnsafe(WRITE_BYTES);
  #buffered = 0;

  constructor(options: ListSeriesOptions) {
    this.#options = options;
  }

  get files(): number {
    return this.#files;
  }

  /** Keys that the next `write` may bring. */
  room(): number {
    const { keysPerFile } = this.#options;
    return this.#current === undefined ? keysPerFile : keysPerFile - this.#keysInCurrent;
  }

  /** Adds whole rows, a byte string with no more than `room()` keys. */
  async write(rows: string, keys: number): Promise<void> {
    if (this.#current === undefined) await this.#begin();
    this.#keysInCurrent += keys;
    for (let taken = 0; taken < rows.length; ) {
      if (this.#buffered === WRITE_BYTES) await this.#flush();
      const room = WRITE_BYTES - this.#buffered;
      const part = taken === 0 && rows.length <= room ? rows : rows.slice(taken, taken + room);
      this.#buffered += this.#buffer.write(part, this.#buffered, 'latin1');
      taken += part.length;
    }
    if (this.#keysInCurrent === this.#options.keysPerFile) await this.#end();
  }

  async #begin(): Promise<void> {
    const path = this.#temporaryPath(this.#files);
    try {
      this.#current = await open(path, 'wx');
    } catch (cause) {
      throw writeError(path, cause);
    }
    this.#files++;
    this.#keysInCurrent = 0;
    this.#buffered = this.#buffer.write(this.#options.header, 'latin1');
  }

  async #flush(): Promise<void> {
    const file = this.#current as FileHandle;
    try {
      for (let written = 0; written < this.#buffered; ) {
        const left = this.#buffered - written;
        written += (await file.write(this.#buffer, written, left)).bytesWritten;
      }
      this.#buffered = 0;
    } catch (cause) {
      throw writeError(this.#temporaryPath(this.#files - 1), cause);
    }
  }

  async #end(): Promise<void> {
    if (this.#current === undefined) return;
    await this.#flush();
    const handle = this.#current;
    this.#current = undefined;
    try {
      await handle.close();
    } catch (cause) {
      // Network file systems tell of a full disk only here.
      throw writeError(this.#temporaryPath(this.#files - 1), cause);
    }
  }

  /** Ends the last file and gives all of them their names. */
  async complete(): Promise<void> {
    await this.#end();
    for (; this.#renamed < this.#files; this.#renamed++) {
      const path = this.#path(this.#renamed);
      try {
        await rename(this.#temporaryPath(this.#renamed), path);
      } catch (cause) {
        throw writeError(path, cause);
      }
    }
  }

  /** Removes all of the files. What cannot be removed is left: the error that led here is the one to tell. */
  async remove(): Promise<void> {
    await this.#current?.close().catch(() => undefined);
    this.#current = undefined;
    for (let i = 0; i < this.#files; i++) {
      const path = i < this.#renamed ? this.#path(i) : this.#temporaryPath(i);
      await unlink(path).catch(() => undefined);
    }
  }

  #name(index: number): string {
    return `${this.#options.stem}${String(index).padStart(8, '0')}${this.#options.extension}`;
  }

  #path(index: number): string {
    return join(this.#options.folder, this.#name(index));
  }

  #temporaryPath(index: number): string {
    return join(this.#options.folder, `.${this.#name(index)}`);
  }
}

function writeError(path: string, cause: unknown): MigrateError {
  return new MigrateError(`cannot write the list ${displayText(path)}: ${messageOf(cause)}`, {
    exitCode: 3,
    hint: 'No list was written. Make room or choose another folder, and run the command again.',
    cause,
  });
}
