/**
 * Uploads that may be ours although no journal has their ids: the answer to their creation was lost, or the
 * process was killed before it came.
 *
 * Nothing in a listing tells who began an upload. What another client began at the same key at the same time
 * looks alike, so nothing that is found here may be aborted without being asked for.
 */
import type { JournalledUpload } from '../../domain.ts';
import type { ListedUpload, UploadListing } from '../../s3/object-store.ts';

/** Differences of clocks below this are none: a store's time comes in whole seconds, and takes its way. */
const SAME_CLOCK_MS = 2_000;
const SECOND_MS = 1_000;

export interface Unnamed {
  /** One whose id is not known. */
  readonly intent: Pick<JournalledUpload, 'intendedAt'>;
  /** Of its key. */
  readonly listing: UploadListing;
  /** Ids of uploads that are known. */
  readonly named: ReadonlySet<string>;
  /** This host's clock when the listing came, in ms since the epoch. */
  readonly now: number;
}

/** @returns those that were begun at or after the intent, by the store's clock, and that nobody has named */
export function unnamedUploads({ intent, listing, named, now }: Unnamed): readonly ListedUpload[] {
  const { uploads, answeredAt = now } = listing;
  const aheadMs = answeredAt - now;
  const isSameClock = Math.abs(aheadMs) < SAME_CLOCK_MS;
  const intended = intent.intendedAt + (isSameClock ? 0 : aheadMs - SAME_CLOCK_MS);
  const since = Math.floor(intended / SECOND_MS) * SECOND_MS;
  return uploads.filter(
    ({ uploadId, initiatedAt }) => initiatedAt >= since && !named.has(uploadId),
  );
}
