/**
 * Which of the uploads that the journal tells of are to stay at the destination when a run begins and ends, and
 * which are aborted.
 */
import type { JournalledUpload } from './domain.ts';
import { retryPolicy } from './load/retry.ts';
import type { RunFolder } from './record/run-folder.ts';
import type { RunEnd, UploadsLeft } from './report/summary.ts';
import type { OpenBuckets } from './s3/open-store.ts';
import { settleUploads } from './transfer/parts/settle-uploads.ts';

/** Aborts uploads that are not to be at the destination any more, as far as it lets that be done. */
export async function settle(
  { uploads }: RunFolder,
  { destination }: OpenBuckets,
  signal: AbortSignal,
  isToGo: (upload: JournalledUpload) => boolean,
): Promise<void> {
  const known = uploads.uploads;
  const retry = retryPolicy(signal);
  const context = { destination, retry, uploads, known, now: Date.now };
  await settleUploads(
    known.filter((upload) => upload.state.kind !== 'completed' && isToGo(upload)),
    context,
  );
}

/** Whether an upload of an earlier start will certainly not be gone on with. */
export function isOfNoUse(upload: JournalledUpload): boolean {
  const { uploadId, state, isRecorded } = upload;
  if (uploadId === undefined) return false;
  return isRecorded || upload.plan === undefined || state.kind === 'abandoned';
}

/** What an earlier start has begun, and this one has not come to, is for the next one, if there is to be one. */
export function isKept(upload: JournalledUpload, { kind }: RunEnd): boolean {
  const { state, isEarlier, isRecorded } = upload;
  const canGoOn = upload.plan !== undefined && state.kind === 'open' && !isRecorded;
  return canGoOn && (isEarlier || kind === 'stopped') && kind !== 'complete';
}

export function uploadsLeft({ uploads }: RunFolder, end: RunEnd): UploadsLeft {
  const left = { kept: 0, left: 0, unanswered: 0 };
  for (const upload of uploads.uploads) {
    if (upload.state.kind === 'completed') continue;
    if (isKept(upload, end)) left.kept++;
    else if (upload.uploadId === undefined) left.unanswered++;
    else left.left++;
  }
  return left;
}
