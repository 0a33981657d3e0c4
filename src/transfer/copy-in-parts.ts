/**
 * Copies one large object: ranged GETs pinned to one version of it, and a multipart upload whose
 * completion carries the condition.
 *
 * The parts are the source's own, if it has some, so that both objects have the same ETag. They are copied
 * side by side with those of other objects. An upload that does not end in an object is aborted.
 */
import type { Outcome } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { CompletedUpload, ObjectHead } from '../s3/object-store.ts';
import { abortUpload } from './abort-upload.ts';
import { type BegunUpload, beginUpload } from './begin-upload.ts';
import { belongingsOf, noteOffer } from './belongings.ts';
import { type CopyContext, type CopyState, countDownload } from './copy-context.ts';
import type { CopiedPart } from './copy-part.ts';
import { multipartEtag } from './digest.ts';
import {
  headIfThere,
  lookOnceMore,
  outcomeOfExisting,
  resolveExisting,
} from './existing-object.ts';
import { insist } from './insist.ts';
import type { Proof } from './object-proof.ts';
import { type PartRange, planParts, planPartsOf } from './part-plan.ts';
import {
  type CopiedParts,
  checkParts,
  proofOfWhole,
  requireProofOfParts,
} from './proof-of-parts.ts';
import { withdraw } from './remove-own.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';
import { keepsParts, layoutOf, type SourceLayout } from './source-layout.ts';
import { at, exhausted, TransferError } from './transfer-error.ts';

/** @throws TransferError, RunEnding */
export async function copyInParts(
  key: ObjectKey,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  // A HEAD is cheaper than to read and send gigabytes that the condition refuses in the end.
  const overwrites = context.policy.ifExists === 'overwrite';
  const there = overwrites ? undefined : await headIfThere(key, context);
  if (there !== undefined) return outcomeOfExisting(key, there, context, state);
  const layout = keepsParts(object, context)
    ? await layoutOf(key, object, context, state)
    : undefined;
  requireProofOfParts(layout, context);
  const begun = await begin(key, object, context, state);
  const upload = { key, object, layout, ...begun };
  const looksFirst = context.policy.ifExists === 'head';
  let completed = false;
  try {
    const parts = await copyParts(upload, context);
    countDownload(state, context);
    const copied = { ...upload, parts };
    checkParts(copied, context, state);
    // The upload may have taken hours, and what came meanwhile would be overwritten by its end.
    const since = looksFirst ? await insist(() => headIfThere(key, context), context) : undefined;
    if (since !== undefined) return outcomeOfExisting(key, since, context, state);
    const done = await complete(upload, parts, context, state);
    if (done === undefined) return await resolveExisting(key, context, state);
    completed = true;
    const proof = await proofOrWithdrawn(copied, done, context);
    const detail = layout?.kind === 'unknown' ? `${proof}${PARTS_NOT_KEPT}` : proof;
    return { kind: 'copied', key, bytes: object.bytes, etag: done.etag, detail };
  } finally {
    // Also when the object is there by an earlier upload of ours: this one is left over then.
    if (!completed) await abortUpload(key, upload.uploadId, context);
  }
}

/** In the detail of an object that was made of other parts than the source's, so that its ETag is another. */
const PARTS_NOT_KEPT = ' (parts not kept)';

/** An object that is found wrong must not stay. */
async function proofOrWithdrawn(
  copied: CopiedParts & Pick<Upload, 'key'>,
  done: CompletedUpload,
  context: CopyContext,
): Promise<Proof> {
  try {
    return proofOfWhole(copied, done, context);
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    const { key, object } = copied;
    const own = { key, etag: done.etag, bytes: object.bytes, writtenAt: context.now() };
    throw await withdraw(own, error, context);
  }
}

/** Begins the upload with all that belongs to the object. */
async function begin(
  key: ObjectKey,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<BegunUpload> {
  const asked = Promise.resolve(belongingsOf(key, object, context, state));
  const belongings = await at('source', asked);
  if (belongings.forbidden !== undefined) throw belongings.forbidden;
  noteOffer(belongings, state);
  const begun = await beginUpload({ key, metadata: belongings.headers }, context);
  // No later request carries them.
  state.offered = [];
  return begun;
}

interface Upload extends BegunUpload {
  readonly key: ObjectKey;
  readonly object: ObjectHead;
  readonly layout: SourceLayout | undefined;
}

function partsOf({ object, layout }: Upload, { partBytes }: CopyContext): PartRange[] {
  return layout === undefined || layout.kind === 'unknown'
    ? planParts(object.bytes, partBytes)
    : planPartsOf(layout.lengths);
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
  for (const range of partsOf(upload, context)) {
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
      // DigitalOcean says NoSuchKey of an upload that is not there any more.
      const isMissing = error.kind === 'no-such-upload' || error.kind === 'not-found';
      const gone = isMissing && state.mayHaveLanded !== undefined;
      if (gone || error.kind === 'precondition-failed') return undefined;
      // After a conflict S3 wants the whole upload made anew: that is the object's next attempt.
      if (error.kind === 'conflict') throw error;
      const wait = waitBeforeRetry(error.cause, attempt, retry);
      if (wait === undefined) {
        if (!isPassing(error.cause)) throw error;
        const isThere =
          state.mayHaveLanded !== undefined && (await lookOnceMore(key, context, state));
        if (isThere) return undefined;
        throw exhausted(error, attempt);
      }
      counters.retries++;
      await retry.sleep(wait);
    }
  }
}
