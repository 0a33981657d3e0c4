/**
 * Leaves nothing of a run's own at the destination: aborts the uploads that are of no use any more, and finds
 * out about those whose creation was not answered.
 */
import pLimit from 'p-limit';
import type { JournalledUpload } from '../../domain.ts';
import { RunEnding } from '../../load/retry.ts';
import { StoreError } from '../../s3/object-store.ts';
import { type AbortContext, abortUpload } from './abort-upload.ts';
import { unnamedUploads } from './unnamed-uploads.ts';

const REQUESTS_AT_ONCE = 8;

export interface SettleContext extends AbortContext {
  /** All uploads the journal knows of. */
  readonly known: readonly JournalledUpload[];
  /** Wall clock, ms since the epoch. */
  readonly now: () => number;
}

/**
 * What could not be aborted, and what may be there without a name, is still in the journal afterwards.
 *
 * @param uploads - none that has become an object
 */
export async function settleUploads(
  uploads: readonly JournalledUpload[],
  context: SettleContext,
): Promise<void> {
  const limit = pLimit(REQUESTS_AT_ONCE);
  await limit.map(uploads, async (upload) => {
    const { key, number, uploadId } = upload;
    try {
      if (uploadId !== undefined) await abortUpload(key, { number, uploadId }, context);
      else if (await cameToNothing(upload, context)) context.uploads.over(number);
    } catch (error) {
      // What is left is told of by the journal.
      if (!(error instanceof RunEnding || error instanceof StoreError)) throw error;
    }
  });
}

/** Whether there is no upload that could be the one whose creation was not answered. */
async function cameToNothing(
  intent: JournalledUpload,
  { destination, known, now }: SettleContext,
): Promise<boolean> {
  const listing = await destination.listUploads(intent.key);
  const named = new Set(known.flatMap(({ uploadId }) => uploadId ?? []));
  return unnamedUploads({ intent, listing, named, now: now() }).length === 0;
}
