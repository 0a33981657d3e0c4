/**
 * `s3migrate verify` without lists: both buckets are listed at the same time, into its log folder. What is
 * listed once stays as it is until the verification is complete, over any number of starts.
 */
import type { Side } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import type { ListSummary } from '../lists/list-writer.ts';
import { displayKey, displayText, type ObjectKey } from '../object-key.ts';
import { openVerifyLists, type VerifyLists } from '../record/verify-lists.ts';
import { placesOf, type RunInputs } from '../run-inputs.ts';
import { type BucketAddress, openBucket } from '../s3/open-store.ts';
import {
  impossibleKeys,
  type ListingProgress,
  newListingProgress,
  withProgressLine,
  writeLists,
} from './list.ts';
import { tellingOfWaits } from './waiting.ts';

interface ListBothOptions extends Readonly<Record<Side, BucketAddress>> {
  /** Only keys that begin with it. */
  readonly prefix: ObjectKey;
  readonly logFolder: string;
  readonly signal: AbortSignal;
}

/**
 * Makes those lists of both sides that are not there yet, and says in one line what was listed.
 *
 * @throws the signal's reason; MigrateError (2) when the log folder cannot be used or is of something else, (3)
 *   when a bucket cannot be listed as a whole. What one side has listed to its end is kept even then
 */
export async function listBoth(
  options: ListBothOptions,
): Promise<Pick<RunInputs, 'sourceLists' | 'destinationLists' | 'sourceMayBeEmpty'>> {
  const { logFolder, prefix } = options;
  const lists = await openVerifyLists({
    folder: logFolder,
    identity: { ...placesOf(options), prefix: displayKey(prefix) },
    now: Date.now,
  });
  try {
    const made = await makeBoth(options, lists);
    process.stderr.write(
      `s3migrate: lists in ${displayText(logFolder)}/lists: source ${listed(made.source)}, destination ${listed(made.destination)}\n`,
    );
    return {
      sourceLists: lists.of('source'),
      destinationLists: lists.of('destination'),
      sourceMayBeEmpty: true,
    };
  } finally {
    await lists.close();
  }
}

function listed(summary: ListSummary | undefined): string {
  return summary === undefined ? 'as listed before' : `${summary.keys} keys`;
}

type Made = Readonly<Record<Side, ListSummary | undefined>>;

/** A side that fails ends the listing of the other. */
async function makeBoth(options: ListBothOptions, lists: VerifyLists): Promise<Made> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const progress = { source: newListingProgress(), destination: newListingProgress() };
  const make = async (side: Side): Promise<ListSummary | undefined> => {
    try {
      return await lists.make(side, (folder) =>
        listSide({ ...options, side, folder, signal }, progress[side]),
      );
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  };
  return withProgressLine(
    () => `listing: source obj=${progress.source.listed}, dest obj=${progress.destination.listed}`,
    async () => {
      const making = [make('source'), make('destination')] as const;
      await Promise.allSettled(making);
      signal.throwIfAborted();
      const [source, destination] = await Promise.all(making);
      return { source, destination };
    },
  );
}

interface ListSideOptions extends ListBothOptions {
  readonly side: Side;
  readonly folder: string;
}

/** Objects that no list can name would go unverified, and nobody would know. */
async function listSide(
  { side, folder, signal, prefix, ...addresses }: ListSideOptions,
  progress: ListingProgress,
): Promise<ListSummary> {
  const { store, settled, keyring } = await openBucket(addresses[side], tellingOfWaits(signal));
  store.close();
  const task = { bucket: settled, keyring, prefix, folder, csv: false, signal };
  const summary = await writeLists(task, progress).catch((error: unknown) => {
    throw error instanceof MigrateError ? naming(side, error) : error;
  });
  if (summary.impossible.count === 0) return summary;
  throw new MigrateError(
    `${side}: ${impossibleKeys(summary.impossible)} are in the bucket, and cannot be verified`,
    {
      exitCode: 3,
      hint: 'To verify all others make the lists with s3migrate list, and give --src-folder and --dest-folder.',
    },
  );
}

/** Both buckets often have the same name. */
function naming(side: Side, error: MigrateError): MigrateError {
  const { exitCode, hint } = error;
  return new MigrateError(`${side}: ${error.message}`, {
    exitCode,
    ...(hint !== undefined && { hint }),
    cause: error,
  });
}
