/**
 * What an earlier start of the run has left of a large object: an upload to go on with, or one that has become
 * the object by now.
 *
 * A part counts only when the journal holds its acknowledgement and the destination shows the very same: a
 * store may list a part that is only half there (versitygw 1.8 does so, at its full length). What is of another
 * version of the source's object, or was never begun in earnest, is aborted.
 */
import type { AcknowledgedPart, JournalledUpload, UploadPlan } from '../../domain.ts';
import { displayKey, type ObjectKey } from '../../object-key.ts';
import type { ListedPart, ObjectHead } from '../../s3/object-store.ts';
import type { CopyContext, CopyState } from '../copy-context.ts';
import { multipartEtag } from '../digest.ts';
import { insist } from '../insist.ts';
import { isSameVersion } from '../source-range.ts';
import { at, TransferError } from '../transfer-error.ts';
import { abortUpload, type OwnUpload } from './abort-upload.ts';

/** An upload that can be gone on with, if it is still to be the same object. */
export interface LeftUpload extends OwnUpload {
  readonly plan: UploadPlan;
  /** Those that need not be sent again; by number. */
  readonly parts: ReadonlyMap<number, AcknowledgedPart>;
}

export interface LeftUploads {
  readonly open: LeftUpload | undefined;
  /** Numbers of those that are no uploads any more, and may have become the object. */
  readonly gone: readonly number[];
}

const NOTHING_LEFT: LeftUploads = { open: undefined, gone: [] };

/**
 * Notes in `state` what object it would be that one of them has become.
 *
 * @param object - what the source has now
 * @throws TransferError
 */
export async function findLeftUploads(
  key: ObjectKey,
  object: ObjectHead,
  context: CopyContext,
  state: CopyState,
): Promise<LeftUploads> {
  const earlier = await context.uploads.earlier(key);
  if (earlier.length === 0) return NOTHING_LEFT;
  let open: LeftUpload | undefined;
  const gone: number[] = [];
  // The last one first: those before it had been given up for it.
  for (const upload of earlier.toReversed()) {
    const { number, uploadId, plan } = upload;
    if (uploadId === undefined) continue;
    const own = { number, uploadId };
    if (plan === undefined || open !== undefined || !isSameVersion(plan.version, object)) {
      await abortUpload(key, own, context);
      continue;
    }
    const { state: known } = upload;
    const shown = known.kind === 'open' ? await listParts(key, own, context) : undefined;
    if (shown === 'not-told') {
      await abortUpload(key, own, context);
      continue;
    }
    const etag = known.kind === 'completed' ? known.etag : etagToBe(upload, plan, object, shown);
    if (etag !== undefined) {
      state.mayHaveLanded ??= { etag: etag.toLowerCase(), bytes: object.bytes, uncountedBytes: 0 };
    }
    if (shown === undefined) gone.push(number);
    else open = { ...own, plan, parts: partsThatCount(upload.parts, plan, shown) };
  }
  return { open, gone };
}

/**
 * The ETag of the object that the upload may be by now.
 *
 * @returns undefined when that is not known, or it can be none yet
 */
function etagToBe(
  { parts }: JournalledUpload,
  { partLengths }: UploadPlan,
  { etag, etagParts }: ObjectHead,
  shown: readonly ListedPart[] | undefined,
): string | undefined {
  const etags = partLengths.flatMap((_, index) => parts.get(index + 1)?.etag ?? []);
  if (etags.length === partLengths.length) return multipartEtag(etags);
  // The last notes may have been lost: of the source's parts the ETag is known without them.
  return shown === undefined && etagParts === partLengths.length ? etag : undefined;
}

function partsThatCount(
  acknowledged: JournalledUpload['parts'],
  { partLengths }: UploadPlan,
  shown: readonly ListedPart[],
): Map<number, AcknowledgedPart> {
  const counting = new Map<number, AcknowledgedPart>();
  for (const { partNumber, etag, bytes } of shown) {
    const part = acknowledged.get(partNumber);
    if (part?.etag !== etag || bytes !== partLengths[partNumber - 1]) continue;
    counting.set(partNumber, part);
  }
  return counting;
}

/** @returns undefined when the upload is gone; `not-told` where this user may not ask, or nobody can */
async function listParts(
  key: ObjectKey,
  { uploadId }: OwnUpload,
  context: CopyContext,
): Promise<readonly ListedPart[] | 'not-told' | undefined> {
  const { destination, warn } = context;
  try {
    return await insist(
      key,
      () => at('destination', destination.listParts(key, uploadId)),
      context,
    );
  } catch (error) {
    if (!(error instanceof TransferError)) throw error;
    if (error.kind === 'no-such-upload') return undefined;
    if (error.kind !== 'denied' && error.kind !== 'not-implemented') throw error;
    warn(
      `${displayKey(key)} is begun anew: the destination does not tell which of its parts are there (ListParts: ${error.code})`,
    );
    return 'not-told';
  }
}
