/**
 * Copies one large object: ranged GETs pinned to one version of it, and a multipart upload whose
 * completion carries the condition.
 *
 * Parts are copied side by side with those of other objects. An upload that does not end in an object is
 * aborted.
 */
import type { Outcome } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import {
  type ObjectHead,
  type PutResult,
  StoreError,
  type UploadedPart,
} from '../s3/object-store.ts';
import { type CopyContext, type CopyState, countDownload } from './copy-context.ts';
import type { CopiedPart } from './copy-part.ts';
import { base64ToHex, md5Base64, multipartEtag } from './digest.ts';
import { outcomeOfExisting, resolveExisting } from './existing-object.ts';
import { type PartRange, planParts } from './part-plan.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';
import { at, exhausted, TransferError, wrongEtag } from './transfer-error.ts';

export async function copyInParts(
  key: ObjectKey,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  // A HEAD is cheaper than to read and send gigabytes that the condition refuses in the end.
  const there = await headIfThere(key, context);
  if (there !== undefined) return outcomeOfExisting(key, there, context, state);
  const uploadId = await at(
    'destination',
    context.destination.createMultipartUpload(key, object.metadata),
  );
  const upload = { key, object, uploadId };
  let completed = false;
  try {
    const parts = await copyParts(upload, context);
    countDownload(state, context);
    const etag = multipartEtag(parts.map(({ md5 }) => md5));
    const done = await complete(upload, { parts, etag }, context, state);
    if (done === undefined) return await resolveExisting(key, context, state);
    completed = true;
    return copied(upload, { parts, etag }, done);
  } finally {
    // Also when the object is there by an earlier upload of ours: this one is left over then.
    if (!completed) await abort(key, uploadId, context);
  }
}

interface Upload {
  readonly key: ObjectKey;
  readonly object: ObjectHead;
  readonly uploadId: string;
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
async function copyParts(
  { key, object, uploadId }: Upload,
  context: CopyContext,
): Promise<CopiedPart[]> {
  const { bytes, etag, lastModified } = object;
  const version = { bytes, etag, lastModified };
  const parts: CopiedPart[] = [];
  const underWay = new Set<Promise<void>>();
  const failed = new AbortController();
  for (const range of planParts(bytes)) {
    if (failed.signal.aborted) break;
    const copying = context
      .copyPart({ key, uploadId, range, version }, failed.signal)
      .then((part) => {
        parts[range.partNumber - 1] = part;
      })
      .catch((error: unknown) => failed.abort(error))
      .finally(() => underWay.delete(copying));
    underWay.add(copying);
    if (underWay.size >= context.partWindow) await Promise.race(underWay);
  }
  await Promise.all(underWay);
  failed.signal.throwIfAborted();
  return parts;
}

interface MadeParts {
  readonly parts: readonly CopiedPart[];
  /** What the object's ETag must be where the store makes it of the parts' MD5s. */
  readonly etag: string;
}

/**
 * Completes the upload, tried again by itself: a lost answer must not cost the copy of a whole large object.
 *
 * @returns undefined when the key is taken, be it by an earlier request of ours whose answer was lost
 */
async function complete(
  { key, object, uploadId }: Upload,
  { parts, etag }: MadeParts,
  context: CopyContext,
  state: CopyState,
): Promise<PutResult | undefined> {
  const { destination, retry, counters } = context;
  for (let attempt = 1; ; attempt++) {
    try {
      return await at('destination', destination.completeNew(key, { uploadId, parts }));
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      if (error.cause.mayHaveLanded) {
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

/** @throws TransferError when the destination has acknowledged something else than was sent */
function copied({ key, object }: Upload, { parts, etag }: MadeParts, done: PutResult): Outcome {
  // A store whose parts' ETags are their MD5s makes the object's ETag of them; others' tell nothing.
  const comparable = parts.every((part) => part.etag.toLowerCase() === base64ToHex(part.md5));
  if (comparable && done.etag.toLowerCase() !== etag) throw wrongEtag(done.etag, etag);
  const detail = comparable ? 'etag-parts' : 'length-only';
  return { kind: 'copied', key, bytes: object.bytes, etag: done.etag, detail };
}

/** An upload that cannot be aborted is left to the store's own clean-up rule; the object's outcome stands. */
async function abort(key: ObjectKey, uploadId: string, context: CopyContext): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await context.destination.abortMultipartUpload(key, uploadId);
      return;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const wait = waitBeforeRetry(error, attempt, context.retry);
      if (wait === undefined) return;
      await context.retry.sleep(wait);
    }
  }
}
