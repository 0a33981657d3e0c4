/**
 * How much of the run is done, told from the source's list files alone.
 *
 * The number of keys is unknown until the last list is read, but the lists' size in bytes is known at
 * once. So the share done is the share of list bytes read, lessened by the share of the keys read that
 * still wait for their transfer. No counting pass over the lists is needed.
 */
import type { Counters } from '../domain.ts';

/** Keys of this run that have reached one of the states they can end in. */
export function keysHandled(counters: Readonly<Counters>): number {
  const { ignored, exists, skippedDownload, skippedUpload, failed, uploaded } = counters;
  return ignored + exists + skippedDownload + skippedUpload + failed + uploaded;
}

/**
 * The share of the whole migration that is done, 0 to 1.
 *
 * It may step back a little when a page of unusually short keys is read.
 *
 * @param fractionAtStart the share of the list bytes that lies before this run's first key, 0 to 1;
 *   it counts as done. 0 for a run that is not resumed
 */
export function fractionDone(counters: Readonly<Counters>, fractionAtStart: number): number {
  const { listBytes, listBytesTotal, objects, done } = counters;
  if (listBytesTotal === 0) return 0;
  const fractionRead = Math.min(1, listBytes / listBytesTotal);
  const keysRead = objects + done;
  const shareHandled = keysRead === 0 ? 0 : (keysHandled(counters) + done) / keysRead;
  return fractionAtStart + Math.max(0, fractionRead - fractionAtStart) * Math.min(1, shareHandled);
}
