/**
 * Copies one large object: ranged GETs pinned to one version of it, and a multipart upload whose
 * completion carries the condition.
 *
 * The parts are the source's own, if it has some, so that both objects have the same ETag. They are copied
 * side by side with those of other objects. An upload that does not end in an object is aborted. What is begun
 * and done is noted in the journal, and an upload that a killed process has left is gone on with.
 */
import { hash } from 'node:crypto';
import type { Outcome, UploadPlan } from '../../domain.ts';
import { isPassing, waitForRetry } from '../../load/retry.ts';
import type { ObjectKey } from '../../object-key.ts';
import type { CompletedUpload, ObjectHead, UploadedPart } from '../../s3/object-store.ts';
import { belongingsOf, noteOffer } from '../belongings.ts';
import { type CopyContext, type CopyState, countDownload } from '../copy-context.ts';
import { multipartEtag } from '../digest.ts';
import {
  headIfThere,
  lookOnceMore,
  outcomeOfExisting,
  resolveExisting,
} from '../existing-object.ts';
import { insist } from '../insist.ts';
import type { Proof } from '../object-proof.ts';
import { withdraw } from '../remove-own.ts';
import { at, exhausted, failedAttempt, TransferError } from '../transfer-error.ts';
import { abortUpload } from './abort-upload.ts';
import { type BegunUpload, beginUpload, warnOfNoProof } from './begin-upload.ts';
import { findLeftUploads, type LeftUpload, type LeftUploads } from './left-upload.ts';
import { type PartRange, planParts, planPartsOf } from './part-plan.ts';
import {
  type CopiedParts,
  checkParts,
  proofOfWhole,
  requireProofOfParts,
} from './proof-of-parts.ts';
import { keepsParts, layoutOf, type SourceLayout } from './source-layout.ts';

/** @throws TransferError, RunEnding */
export async function copyInParts(
  key: ObjectKey,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome> {
  const left = await findLeftUploads(key, object, context, state);
  const existing = await outcomeIfThere(key, left, context, state);
  if (existing !== undefined) return existing;
  const layout = keepsParts(object, context)
    ? await layoutOf(key, object, context, state)
    : undefined;
  requireProofOfParts(layout, context);
  const upload = await beginOrResume({ key, object, layout }, left, context, state);
  const looksFirst = context.policy.ifExists === 'head';
  let completed = false;
  try {
    if (!upload.isResumed) await context.uploads.begin(upload.number, upload.plan);
    const parts = await copyParts(upload, context);
    countDownload(state, context);
    const copied = { ...upload, parts };
    checkParts(copied, context, state);
    // The upload may have taken hours, and what came meanwhile would be overwritten by its end.
    const since = looksFirst
      ? await insist(key, () => headIfThere(key, context), context)
      : undefined;
    if (since !== undefined) return outcomeOfExisting(key, since, context, state);
    const done = await complete(upload, parts, context, state);
    if (done === undefined) return await resolveExisting(key, context, state);
    completed = true;
    const proof = await proofOrWithdrawn(copied, done, context);
    const detail = layout?.kind === 'unknown' ? `${proof}${PARTS_NOT_KEPT}` : proof;
    return { kind: 'copied', key, bytes: object.bytes, etag: done.etag, detail };
  } finally {
    // Also when the object is there by an earlier upload of ours: this one is left over then.
    if (!completed) await abortUpload(key, upload, context);
  }
}

/**
 * A HEAD is cheaper than to read and send gigabytes that the condition refuses in the end; and an upload that is
 * gone may have become what is there.
 */
async function outcomeIfThere(
  key: ObjectKey,
  { open, gone }: LeftUploads,
  context: CopyContext,
  state: CopyState,
): Promise<Outcome | undefined> {
  const { policy, uploads } = context;
  const overwrites = policy.ifExists === 'overwrite';
  if (overwrites && gone.length === 0) return undefined;
  const there = await headIfThere(key, context);
  const outcome = there === undefined ? undefined : outcomeOfExisting(key, there, context, state);
  if (outcome?.kind === 'copied') {
    for (const number of gone) uploads.completed(number, outcome.etag);
  } else {
    for (const number of gone) uploads.over(number);
    // What is gone has come to nothing: what the next attempt meets is not of it.
    if (gone.length > 0) state.mayHaveLanded = undefined;
    if (overwrites) return undefined;
  }
  if (outcome !== undefined && open !== undefined) await abortUpload(key, open, context);
  return outcome;
}

/** In the detail of an object that was made of other parts than the source's, so that its ETag is another. */
const PARTS_NOT_KEPT = ' (parts not kept)';

/** An object that is found wrong must not stay. */
async function proofOrWithdrawn(
  copied: CopiedParts & Pick<Upload, 'key' | 'number'>,
  done: CompletedUpload,
  context: CopyContext,
): Promise<Proof> {
  const { uploads } = context;
  try {
    const proof = proofOfWhole(copied, done, context);
    uploads.completed(copied.number, done.etag);
    return proof;
  } catch (error) {
    uploads.over(copied.number);
    if (!(error instanceof TransferError)) throw error;
    const { key, object } = copied;
    const own = { key, etag: done.etag, bytes: object.bytes, writtenAt: context.now() };
    throw await withdraw(own, error, context);
  }
}

interface LargeSource {
  readonly key: ObjectKey;
  readonly object: ObjectHead;
  readonly layout: SourceLayout | undefined;
}

/** Whoever gets it completes or aborts it. */
interface Upload extends BegunUpload, LargeSource {
  readonly plan: UploadPlan;
  readonly ranges: readonly PartRange[];
  readonly isResumed: boolean;
  /** That are at the destination already; by number. */
  readonly kept: LeftUpload['parts'];
}

/** Goes on with what is left where that is to be the very same object, else begins with all that belongs to it. */
async function beginOrResume(
  source: LargeSource,
  { open }: LeftUploads,
  context: CopyContext,
  state: CopyState,
): Promise<Upload> {
  const { key, object } = source;
  const { bytes, etag, lastModified } = object;
  const asked = Promise.resolve(belongingsOf(key, object, context, state));
  const belongings = await at('source', asked);
  if (belongings.forbidden !== undefined) throw belongings.forbidden;
  noteOffer(belongings, state);
  const ranges = partsOf(source, context);
  const plan = {
    version: { bytes, etag, lastModified },
    headersSha256: hash('sha256', JSON.stringify(belongings.headers)),
    partLengths: ranges.map(({ first, last }) => last - first + 1),
  };
  let upload: Upload;
  if (open !== undefined && isSamePlan(open.plan, plan)) {
    const { proof } = open.plan;
    context.uploads.resume(open.number);
    warnOfNoProof(proof, context);
    upload = { ...source, ...open, ranges, proof, isResumed: true, kept: open.parts };
  } else {
    if (open !== undefined) await abortUpload(key, open, context);
    const begun = await beginUpload({ key, metadata: belongings.headers }, context);
    const { proof } = begun;
    const fresh = { isResumed: false, kept: new Map() };
    upload = { ...source, ...begun, ranges, plan: { ...plan, proof }, ...fresh };
  }
  // No later request carries them.
  state.offered = [];
  return upload;
}

function isSamePlan(a: UploadPlan, b: Omit<UploadPlan, 'proof'>): boolean {
  return (
    a.headersSha256 === b.headersSha256 &&
    a.partLengths.length === b.partLengths.length &&
    a.partLengths.every((length, index) => length === b.partLengths[index])
  );
}

function partsOf({ object, layout }: LargeSource, { partBytes }: CopyContext): PartRange[] {
  return layout === undefined || layout.kind === 'unknown'
    ? planParts(object.bytes, partBytes)
    : planPartsOf(layout.lengths);
}

/** Copies the parts that are missing; once one has failed no further is begun, and those under way are waited for. */
async function copyParts(upload: Upload, context: CopyContext): Promise<UploadedPart[]> {
  const { key, number, uploadId, proof, kept } = upload;
  const { version } = upload.plan;
  const parts: UploadedPart[] = [];
  const underWay = new Set<Promise<void>>();
  const failed = new AbortController();
  const copy = async (range: PartRange): Promise<void> => {
    try {
      const job = { key, uploadId, proof, range, version };
      const part = await context.copyPart(job, failed.signal);
      context.uploads.acknowledge(number, part);
      parts[range.partNumber - 1] = part;
    } catch (error) {
      failed.abort(error);
    }
  };
  for (const range of upload.ranges) {
    if (failed.signal.aborted) break;
    const there = kept.get(range.partNumber);
    if (there !== undefined) {
      parts[range.partNumber - 1] = there;
      continue;
    }
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
  parts: readonly UploadedPart[],
  context: CopyContext,
  state: CopyState,
): Promise<CompletedUpload | undefined> {
  const { destination } = context;
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
      const counted = await waitForRetry(failedAttempt(key, error, attempt), context);
      if (counted === undefined) {
        if (!isPassing(error.cause)) throw error;
        const isThere =
          state.mayHaveLanded !== undefined && (await lookOnceMore(key, context, state));
        if (isThere) return undefined;
        throw exhausted(error, attempt);
      }
      attempt = counted;
    }
  }
}
