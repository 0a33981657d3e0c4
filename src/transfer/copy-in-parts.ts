/**
 * Copies one large object: ranged GETs pinned to one version of it, and a multipart upload whose
 * completion carries the condition.
 *
 * Parts are copied side by side with those of other objects. An upload that does not end in an object is
 * aborted.
 */
import type { Outcome } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { CompletedUpload, ObjectHead } from '../s3/object-store.ts';
import { abortUpload } from './abort-upload.ts';
import { type BegunUpload, beginUpload } from './begin-upload.ts';
import { type CopyContext, type CopyState, countDownload } from './copy-context.ts';
import type { CopiedPart } from './copy-part.ts';
import { base64ToHex, compositeCrc32, multipartEtag } from './digest.ts';
import { outcomeOfExisting, resolveExisting } from './existing-object.ts';
import { type PartRange, planParts } from './part-plan.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';
import { at, exhausted, TransferError, wrongChecksum, wrongEtag } from './transfer-error.ts';

/** @throws TransferError, RunEnding */
export async function copyInParts(
  key: ObjectKey,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  // A HEAD is cheaper than to read and send gigabytes that the condition refuses in the end.
  const there = await headIfThere(key, context);
  if (there !== undefined) return outcomeOfExisting(key, there, context, state);
  const begun = await beginUpload({ key, metadata: object.metadata }, context);
  const upload = { key, object, ...begun };
  let completed = false;
  try {
    const parts = await copyParts(upload, context);
    countDownload(state, context);
    const done = await complete(upload, parts, context, state);
    if (done === undefined) return await resolveExisting(key, context, state);
    completed = true;
    const detail = proofOfWhole(upload, parts, done);
    return { kind: 'copied', key, bytes: object.bytes, etag: done.etag, detail };
  } finally {
    // Also when the object is there by an earlier upload of ours: this one is left over then.
    if (!completed) await abortUpload(key, upload.uploadId, context);
  }
}

interface Upload extends BegunUpload {
  readonly key: ObjectKey;
  readonly object: ObjectHead;
}

async function headIfThere(
  key: ObjectKey,
  { destination }: CopyContext,
): Promise<ObjectHead | undefined> {
  try {
    return await at('destination', destination.head(key));
  } catch (error) {
    // Without the permission to list, AWS answers 403 for a missing key: the condition decides later.
    if (error instanceof TransferError && (error.kind === 'not-found' || error.kind === 'denied')) {
      return undefined;
    }
    throw error;
  }
}

/** Copies all parts; once one has failed no further is begun, and those under way are waited for. */
async function copyParts(upload: Upload, context: CopyContext): Promise<CopiedPart[]> {
  const { key, uploadId, proof, object } = upload;
  const { bytes, etag, lastModified } = object;
  const version = { bytes, etag, lastModified };
  const parts: CopiedPart[] = [];
  const underWay = new Set<Promise<void>>();
  const failed = new AbortController();
  const copy = async (range: PartRange): Promise<void> => {
    try {
      const job = { key, uploadId, proof, range, version };
      parts[range.partNumber - 1] = await context.copyPart(job, failed.signal);
    } catch (error) {
      failed.abort(error);
    }
  };
  for (const range of planParts(bytes, context.partBytes)) {
    if (failed.signal.aborted) break;
    const copying = copy(range).finally(() => underWay.delete(copying));
    underWay.add(copying);
    if (underWay.size >= context.partWindow) await Promise.race(underWay);
  }
  await Promise.all(underWay);
  failed.signal.throwIfAborted();
  return parts;
}

/**
 * Completes the upload, tried again by itself: a lost answer must not cost the copy of a whole large object.
 *
 * @returns undefined when the key is taken, be it by an earlier request of ours whose answer was lost
 */
async function complete(
  { key, object, uploadId }: Upload,
  parts: readonly CopiedPart[],
  context: CopyContext,
  state: CopyState,
): Promise<CompletedUpload | undefined> {
  const { destination, retry, counters } = context;
  for (let attempt = 1; ; attempt++) {
    try {
      return await at('destination', destination.completeNew(key, { uploadId, parts }));
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      if (error.cause.mayHaveLanded) {
        const etag = multipartEtag(parts.map((part) => part.etag));
        state.mayHaveLanded = { etag, bytes: object.bytes, uncountedBytes: 0 };
      }
      const gone = error.kind === 'no-such-upload' && state.mayHaveLanded !== undefined;
      if (gone || error.kind === 'precondition-failed') return undefined;
      // After a conflict S3 wants the whole upload made anew: that is the object's next attempt.
      if (error.kind === 'conflict') throw error;
      const wait = waitBeforeRetry(error.cause, attempt, retry);
      if (wait === undefined) throw isPassing(error.cause) ? exhausted(error, attempt) : error;
      counters.retries++;
      await retry.sleep(wait);
    }
  }
}

/**
 * @returns what proves that the object's bytes are the source's, in a word of docs/formats.md
 * @throws TransferError when the destination has acknowledged something else than was sent
 */
function proofOfWhole(
  { proof }: Upload,
  parts: readonly CopiedPart[],
  done: CompletedUpload,
): string {
  switch (proof) {
    case 'crc32': {
      const crc32 = compositeCrc32(parts.map(({ digest }) => digest.base64));
      // Without the number of parts it may be the CRC32 of the content.
      const comparable = done.crc32?.includes('-') === true;
      if (comparable && done.crc32 !== crc32) throw wrongChecksum(done.crc32, crc32);
      return 'crc32-parts';
    }
    case 'md5':
    case 'etag': {
      // A store whose parts' ETags are their MD5s makes the object's ETag of them; others' tell nothing.
      const md5s = parts.map(({ digest }) => base64ToHex(digest.base64));
      const comparable = parts.every(({ etag }, index) => etag.toLowerCase() === md5s[index]);
      const etag = multipartEtag(md5s);
      if (comparable && done.etag.toLowerCase() !== etag) throw wrongEtag(done.etag, etag);
      return comparable ? 'etag-parts' : 'length-only';
    }
    case 'none':
      return 'length-only';
  }
}
