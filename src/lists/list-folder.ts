/**
 * A folder of list files: the sorted keys of one side of a migration (docs/formats.md).
 *
 * Opening the folder looks at every list file's size and first key, no more. Its pages read the
 * files as far as they are pulled, and verify every line they use.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, constants, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyPage, Side } from '../domain.ts';
import { MigrateError, messageOf } from '../errors.ts';
import { displayText, type ObjectKey } from '../object-key.ts';
import { formatOf, type ListFile } from './list-file.ts';
import { firstKeyOf, ListReader } from './list-reader.ts';
import { type MergeInput, mergeLists } from './merge-lists.ts';
import { resumeOffset } from './resume-offset.ts';
import { Scratch } from './whole-lines.ts';

const DEFAULT_PAGE_KEYS = 2_000;

/** Looks at files at once: enough to hide a network file system's latency. */
const LOOKS_AT_ONCE = 32;

/** Larger ones block the event loop for longer than a millisecond. */
const VERIFIED_BLOCK_BYTES = 64 * 1024;

const FLAG = { source: '--src-folder', destination: '--dest-folder' } as const;

const FOLDER_PROBLEMS = new Map([
  ['ENOENT', 'no such folder'],
  ['ENOTDIR', 'not a folder'],
  ['EACCES', 'no permission to read it'],
]);

export interface OpenListFolderOptions {
  /** Whose keys these are: a source without keys is an error, a destination without keys is not. */
  readonly side: Side;
  /** The source's lists may be without keys too, as those of an empty bucket are. */
  readonly mayBeEmpty?: boolean;
  /** Once aborted, nothing more is read: opening and pages throw its reason. */
  readonly signal?: AbortSignal;
}

export interface ListFolder {
  /** How many list files. */
  readonly files: number;
  /** Their size on disk; `listBytes` of the last page. */
  readonly totalBytes: number;
  /**
   * SHA-256 in hex over every file's name, size and content. Of lists beyond 64 MiB together the content
   * would take too long: instead of it the first key and the time of the last change count. A list that
   * was out of order and is repaired is thus another list: the key that was out of its place may belong
   * to what a run has recorded already, and going on after that would lose it.
   */
  readonly fingerprint: string;
  /**
   * All keys after `after`, ascending, each once. Every call reads anew. Let go of early, it closes
   * what it holds.
   *
   * @throws MigrateError, exit code 2: a line is unfit or out of order; 3: a file is not what it was
   *   when the folder was opened. Full pages of the keys before are yielded first. What lies before
   *   `after` is verified after the last page.
   */
  pages(options: ListPagesOptions): AsyncIterable<KeyPage>;
}

interface ListPagesOptions {
  /** Keys up to and including this one are left out; `BEFORE_ALL` for none. */
  readonly after: ObjectKey;
  /** Keys a page; an integer ≥ 1, by default 2,000. Only the last page has fewer, maybe none. */
  readonly pageKeys?: number;
}

/**
 * Finds the list files of a folder: regular files, or links to such, whose names do not begin with
 * a dot. Sub-folders, sockets, pipes and devices are not read; what editors and copies leave is refused.
 *
 * @throws MigrateError with exit code 2 when the folder or a file of it cannot be read, a file does
 *   not begin as a list does, or the source has no key and must have one
 */
export async function openListFolder(
  folder: string,
  { side, mayBeEmpty = side === 'destination', signal }: OpenListFolderOptions,
): Promise<ListFolder> {
  const files = await listFilesIn(folder, { side, signal });
  const firstKeys = await inParallel(files, (file) => {
    signal?.throwIfAborted();
    return firstKeyOf(file);
  });
  if (!mayBeEmpty && firstKeys.every((key) => key === undefined)) {
    throw new MigrateError(
      `${FLAG[side]} ${displayText(folder)}: no keys to migrate in this folder`,
      {
        exitCode: 2,
        hint: 'Make the list of the source with s3find or s3migrate list. Files whose names begin with a dot are not read.',
      },
    );
  }
  const lists = files.map((file, i) => ({ file, firstKey: firstKeys[i] }));
  return {
    files: files.length,
    totalBytes: sizeOf(files),
    fingerprint: await fingerprintOf(lists),
    pages: (options) => pagesOf(lists, { ...options, signal }),
  };
}

interface List {
  readonly file: ListFile;
  /** Undefined in a list without keys. */
  readonly firstKey: ObjectKey | undefined;
}

async function listFilesIn(
  folder: string,
  { side, signal }: { side: Side; signal: AbortSignal | undefined },
): Promise<ListFile[]> {
  const names = await namesIn(folder, side);
  const files = await inParallel(names, (name) => {
    signal?.throwIfAborted();
    return listFile(folder, name);
  });
  return files.filter((file) => file !== undefined);
}

/** In byte order, so that everything made of them is the same on every host. */
async function namesIn(folder: string, side: Side): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => !name.startsWith('.'))
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  } catch (error) {
    throw new MigrateError(`${FLAG[side]} ${displayText(folder)}: ${reasonOf(error)}`, {
      exitCode: 2,
      hint: `${FLAG[side]} takes a folder of list files; make one with s3find or s3migrate list${
        side === 'destination' ? ' (an empty one when the destination holds nothing yet)' : ''
      }.`,
      cause: error,
    });
  }
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return FOLDER_PROBLEMS.get(code) ?? messageOf(error);
}

/** @returns undefined for what is no regular file */
async function listFile(folder: string, name: string): Promise<ListFile | undefined> {
  const path = join(folder, name);
  try {
    const found = await stat(path);
    if (!found.isFile()) return undefined;
    refuseLeftOver(path, name);
    await access(path, constants.R_OK);
    return { name, path, size: found.size, modifiedMs: found.mtimeMs, ...formatOf(name) };
  } catch (error) {
    if (error instanceof MigrateError) throw error;
    // A link that leads nowhere, or a name that is not UTF-8. Passing over it could lose keys.
    throw unreadable(path, error);
  }
}

/** What editors and copying tools leave beside a file: an older list, or half of one. */
const LEFT_OVER = /~$|\.(?:bak|orig|part|sw[op]|te?mp)$|^#.*#$/;

/** Whether such a file was meant cannot be known: keys would be lost, or old ones come again. */
function refuseLeftOver(path: string, name: string): void {
  if (!LEFT_OVER.test(name)) return;
  throw new MigrateError(
    `${displayText(path)}: looks like a backup or an unfinished copy, not like a list`,
    {
      exitCode: 2,
      hint: 'Remove it or move it out of the folder. If it is a list, give it another name, such as one that ends in .txt.',
    },
  );
}

function unreadable(path: string, cause: unknown): MigrateError {
  return new MigrateError(`${displayText(path)}: cannot be read: ${messageOf(cause)}`, {
    exitCode: 2,
    hint: 'Make the list file readable, or move it out of the folder.',
    cause,
  });
}

function sizeOf(files: readonly ListFile[]): number {
  return files.reduce((bytes, file) => bytes + file.size, 0);
}

/** Content up to here is hashed in about a tenth of a second. */
const MAX_HASHED_BYTES = 64 * 1024 ** 2;

async function fingerprintOf(lists: readonly List[]): Promise<string> {
  const hash = createHash('sha256');
  const whole = sizeOf(lists.map(({ file }) => file)) <= MAX_HASHED_BYTES;
  for (const { file, firstKey = '' } of lists) {
    // NUL occurs in none of them, so no two folders give the same bytes.
    hash.update(`${file.name}\0${file.size}\0`);
    if (whole) {
      for await (const piece of createReadStream(file.path)) hash.update(piece as Buffer);
    } else {
      hash.update(`${file.modifiedMs}\0`).update(firstKey, 'latin1');
    }
    hash.update('\0');
  }
  return hash.digest('hex');
}

async function* pagesOf(
  lists: readonly List[],
  options: ListPagesOptions & { readonly signal: AbortSignal | undefined },
): AsyncGenerator<KeyPage, void, undefined> {
  const { after, pageKeys = DEFAULT_PAGE_KEYS, signal } = options;
  const begunLast = firstKeyBegunLast(lists, after);
  const offsets = await inParallel(lists, async ({ file, firstKey }) => {
    signal?.throwIfAborted();
    if (firstKey === undefined) return file.size;
    const offset = await resumeOffset(file, { firstKey, after });
    return offset === file.size && firstKey === begunLast ? 0 : offset;
  });
  const inputs: MergeInput[] = [];
  const passedOver: ListFile[] = [];
  let skippedBytes = 0;
  for (const [i, { file, firstKey }] of lists.entries()) {
    const offset = offsets[i] ?? 0;
    if (firstKey !== undefined && offset > 0) passedOver.push(file);
    if (firstKey === undefined || offset === file.size) skippedBytes += file.size;
    else inputs.push({ file, firstKey, offset });
  }
  yield* mergeLists(inputs, { after, pageKeys, skippedBytes, signal });
  await verifyOrder(passedOver, signal);
}

/**
 * Reads files through that were entered in their middle or not at all. Where one is out of order, its ends do not
 * tell what is in it: a key that should have come may be among what was passed over. Done when all else has been
 * handed on, so that nobody waits for it.
 */
async function verifyOrder(files: readonly ListFile[], signal?: AbortSignal): Promise<void> {
  const scratch = new Scratch();
  for (const file of files) {
    const reader = new ListReader(file, { offset: 0, scratch });
    do signal?.throwIfAborted();
    while ((await reader.next(VERIFIED_BLOCK_BYTES)) !== undefined);
  }
}

/**
 * The first key of the file that a run which came to `after` was last to begin. That run may have
 * stopped at a line out of order in it, after which even a last key before `after` proves nothing: it
 * is read through again, and not repaired it stops this run too.
 */
function firstKeyBegunLast(lists: readonly List[], after: ObjectKey): ObjectKey | undefined {
  let begunLast: ObjectKey | undefined;
  for (const { firstKey } of lists) {
    if (firstKey === undefined || firstKey > after) continue;
    if (begunLast === undefined || firstKey > begunLast) begunLast = firstKey;
  }
  return begunLast;
}

/** Maps with at most {@link LOOKS_AT_ONCE} calls of `work` under way; results in the items' order. */
async function inParallel<T, R>(
  items: readonly T[],
  work: (item: T) => R | Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i] as T);
    }
  };
  try {
    await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, worker));
  } finally {
    // After a failure the other workers take no more.
    next = items.length;
  }
  return results;
}
