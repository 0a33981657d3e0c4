/**
 * `s3migrate list`: list files of a bucket that cannot be mounted.
 */
import type { ExitCode } from '../errors.ts';
import { createListWriter, type ListSummary, type ListWriter } from '../lists/list-writer.ts';
import {
  displayKey,
  displayText,
  keyFromText,
  type ObjectKey,
  unescapeKey,
} from '../object-key.ts';
import { cutToColumns } from '../report/progress-line.ts';
import { type ListedObject, listObjects } from '../s3/listing.ts';
import { type BucketAddress, openBucket } from '../s3/open-store.ts';
import { bucketAddress, type RawOptions, requireFlags, usageError } from './options.ts';
import { exitCodeOf, watchSignals } from './signals.ts';

/** Redraws of the progress line, in ms. */
const TELL_EVERY_MS = 250;

/**
 * @returns 0 all keys are listed, 1 some cannot be listed as keys, 130 or 143 interrupted, with no list written
 * @throws MigrateError
 */
export async function listBucket(folder: string, raw: RawOptions): Promise<ExitCode> {
  requireFlags(raw, ['url', 'bucket', 'key', 'secret']);
  const address = bucketAddress(raw, { prefix: '-', side: 'bucket' });
  const prefix = prefixOf(raw);
  const opened = await openBucket(address);
  opened.store.close();
  const csv = raw['csv'] === true;
  const writer = await createListWriter({
    folder,
    ...(csv && { csv: { columns: ['size', 'etag', 'last_modified'] } }),
  });
  const interruption = watchSignals();
  try {
    const { region, addressing } = opened;
    await writeListing(
      { ...address, region, addressing, prefix, signal: interruption.signal },
      writer,
    );
    if (interruption.signal.aborted) throw interruption.signal.reason;
    return summarise(await writer.finish(), address, folder);
  } catch (error) {
    await writer.discard();
    if (!interruption.signal.aborted) throw error;
    process.stderr.write(
      's3migrate: interrupted; no list was written. Give the same command again.\n',
    );
    return exitCodeOf(interruption.signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    interruption.end();
  }
}

function prefixOf(raw: RawOptions): ObjectKey {
  const given = String(raw['prefix'] ?? '');
  const prefix = unescapeKey(keyFromText(given));
  if (prefix !== undefined) return prefix;
  throw usageError(
    `--prefix "${displayText(given)}" has a malformed escape`,
    String.raw`A backslash is written \\.`,
  );
}

async function writeListing(
  options: Parameters<typeof listObjects>[0],
  writer: ListWriter,
): Promise<void> {
  let listed = 0;
  let last = '' as ObjectKey;
  const line = (): string => `obj=${listed} ${displayKey(last)}`;
  const progress = setInterval(() => {
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[K${cutToColumns(line(), process.stderr.columns - 1)}`);
    }
  }, TELL_EVERY_MS);
  progress.unref();
  try {
    for await (const objects of listObjects(options)) {
      await writer.append(rowsOf(objects));
      listed += objects.length;
      last = objects.at(-1)?.key ?? last;
    }
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
    `s3migrate: ${keys} keys of bucket ${displayText(bucket)} in ${files} list files in ${displayText(folder)}\n`,
  );
  if (impossible.count === 0) return 0;
  const example =
    impossible.example === undefined ? '' : `, such as ${displayKey(impossible.example)}`;
  process.stderr.write(`  ${impossible.count} keys are no S3 keys and are in no list${example}\n`);
  return 1;
}
