/**
 * `s3migrate list`: list files of a bucket that cannot be mounted.
 */
import type { ExitCode } from '../errors.ts';
import { createListWriter, type ListSummary, type ListWriter } from '../lists/list-writer.ts';
import {
  BEFORE_ALL,
  displayKey,
  displayText,
  keyFromText,
  type ObjectKey,
  unescapeKey,
} from '../object-key.ts';
import { cutToColumns } from '../report/progress-line.ts';
import { type ListedObject, listObjects } from '../s3/listing.ts';
import { type BucketAddress, type OpenBucket, openBucket } from '../s3/open-store.ts';
import { bucketAddress, keyFlags, type RawOptions, requireFlags, usageError } from './options.ts';
import { exitCodeOf, watchSignals } from './signals.ts';
import { tellingOfWaits } from './waiting.ts';

/** Redraws of the progress line, in ms. */
const TELL_EVERY_MS = 250;

/**
 * @returns 0 all keys are listed, 1 some cannot be listed as keys, 130 or 143 interrupted, with no list written
 * @throws MigrateError
 */
export async function listBucket(folder: string, raw: RawOptions): Promise<ExitCode> {
  requireFlags(raw, ['url', 'bucket', ...keyFlags(raw, '-')]);
  const address = bucketAddress(raw, { prefix: '-', side: 'bucket' });
  const prefix = prefixOf(raw);
  const interruption = watchSignals();
  const progress = newListingProgress();
  try {
    const { signal } = interruption;
    const { store, settled, keyring } = await openBucket(address, tellingOfWaits(signal));
    store.close();
    const csv = raw['csv'] === true;
    const task = { bucket: settled, keyring, prefix, folder, csv, signal };
    const summary = await withProgressLine(
      () => `obj=${progress.listed} ${displayKey(progress.last)}`,
      () => writeLists(task, progress),
    );
    return summarise(summary, address, folder);
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    process.stderr.write(
      's3migrate: interrupted; no list was written. Give the same command again.\n',
    );
    return exitCodeOf(interruption.signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    interruption.end();
  }
}

/** @throws MigrateError (2) for a malformed escape; no prefix is an empty one */
export function prefixOf(raw: RawOptions): ObjectKey {
  const given = String(raw['prefix'] ?? '');
  const prefix = unescapeKey(keyFromText(given));
  if (prefix !== undefined) return prefix;
  throw usageError(
    `--prefix "${displayText(given)}" has a malformed escape`,
    String.raw`A backslash is written \\.`,
  );
}

export interface ListingTask {
  /** Of a bucket that was opened. */
  readonly bucket: OpenBucket['settled'];
  /** Of the same bucket. */
  readonly keyring: OpenBucket['keyring'];
  /** Only keys that begin with it. */
  readonly prefix: ObjectKey;
  /** New or empty. */
  readonly folder: string;
  /** `.csv` lists, with all that a listing tells. */
  readonly csv: boolean;
  readonly signal: AbortSignal;
}

/** How far a listing has come. */
export interface ListingProgress {
  listed: number;
  last: ObjectKey;
}

export function newListingProgress(): ListingProgress {
  return { listed: 0, last: BEFORE_ALL };
}

/**
 * Lists a bucket into a folder: all of it, or nothing when it fails or is interrupted.
 *
 * @param progress kept up to date
 * @throws the signal's reason; MigrateError (2) when the folder is not empty, (3) when the bucket cannot be
 *   listed or a list not be written
 */
export async function writeLists(
  { bucket, keyring, prefix, folder, csv, signal }: ListingTask,
  progress: ListingProgress,
): Promise<ListSummary> {
  const writer = await createListWriter({
    folder,
    ...(csv && { csv: { columns: ['size', 'etag', 'last_modified'] } }),
  });
  try {
    for await (const objects of listObjects({ ...bucket, keyring, prefix, signal })) {
      await writer.append(rowsOf(objects));
      progress.listed += objects.length;
      progress.last = objects.at(-1)?.key ?? progress.last;
    }
    signal.throwIfAborted();
    return await writer.finish();
  } catch (error) {
    await writer.discard();
    signal.throwIfAborted();
    throw error;
  }
}

/** Does the work under a line on the terminal, drawn anew a few times a second and taken away at the end. */
export async function withProgressLine<T>(line: () => string, work: () => Promise<T>): Promise<T> {
  const progress = setInterval(() => {
    const { isTTY, columns, writableLength } = process.stderr;
    // A terminal that was stopped has not taken the last one yet.
    if (!isTTY || writableLength > 0) return;
    process.stderr.write(`\r\x1b[K${cutToColumns(line(), columns - 1)}`);
  }, TELL_EVERY_MS);
  progress.unref();
  try {
    return await work();
  } finally {
    clearInterval(progress);
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}

function rowsOf(objects: readonly ListedObject[]): Parameters<ListWriter['append']>[0] {
  return {
    names: objects.map(({ key }) => key),
    size: objects.map(({ bytes }) => bytes),
    etag: objects.map(({ etag }) => etag),
    lastModifiedMs: objects.map(({ lastModified }) => lastModified?.getTime() ?? Number.NaN),
  };
}

function summarise(
  { files, keys, impossible }: ListSummary,
  { bucket }: BucketAddress,
  folder: string,
): ExitCode {
  process.stderr.write(
    `s3migrate: ${keys} keys of bucket ${displayText(bucket)} in ${files} list ${files === 1 ? 'file' : 'files'} in ${displayText(folder)}\n`,
  );
  if (impossible.count === 0) return 0;
  process.stderr.write(`  ${impossibleKeys(impossible)} are in no list\n`);
  return 1;
}

/** Names keys of a bucket that are no S3 keys, to be followed by what becomes of them. */
export function impossibleKeys({ count, example }: ListSummary['impossible']): string {
  const shown = example === undefined ? '' : `, such as ${displayKey(example)},`;
  return `${count} keys that are no S3 keys${shown}`;
}
