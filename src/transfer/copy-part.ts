/**
 * Copies one part of a large object: a ranged GET pinned to one version of it, and an UploadPart.
 *
 * What is asked for and what comes of it are plain data, so that a part can be copied by another thread
 * than the one that has the object.
 */
import type { ObjectKey } from '../object-key.ts';
import { type ObjectHead, StoreError, type UploadedPart } from '../s3/object-store.ts';
import type { CopyContext } from './copy-context.ts';
import { md5Base64 } from './digest.ts';
import type { PartRange } from './part-plan.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';
import { at, exhausted, TransferError } from './transfer-error.ts';

/** A part to be copied. */
export interface PartJob {
  readonly key: ObjectKey;
  readonly uploadId: string;
  readonly range: PartRange;
  /** What tells the version of the object that the part must be of. */
  readonly version: ObjectVersion;
}

export type ObjectVersion = Pick<ObjectHead, 'bytes' | 'etag' | 'lastModified'>;

export interface CopiedPart extends UploadedPart {
  /** Base64. */
  readonly md5: string;
}

/** What copying a part needs of all that copies share. */
export type PartContext = Pick<
  CopyContext,
  'source' | 'destination' | 'budget' | 'partBuffers' | 'counters' | 'retry'
>;

/** One part, tried again by itself: what the others have done is not lost to a passing fault. */
export async function copyPart(job: PartJob, context: PartContext): Promise<CopiedPart> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptPart(job, context);
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      const wait = waitBeforeRetry(error.cause, attempt, context.retry);
      if (wait === undefined) throw isPassing(error.cause) ? exhausted(error, attempt) : error;
      context.counters.retries++;
      await context.retry.sleep(wait);
    }
  }
}

async function attemptPart(
  { key, uploadId, range: { partNumber, first, last }, version }: PartJob,
  { source, destination, budget, partBuffers, counters }: PartContext,
): Promise<CopiedPart> {
  const bytes = last - first + 1;
  await budget.take(bytes);
  const part = partBuffers.take(bytes);
  try {
    await at(
      'source',
      source.get(key, {
        range: { first, last },
        ...(version.etag === '' ? {} : { ifMatch: version.etag }),
        receive: (head) => {
          // Stores that ignore If-Match, and objects without an ETag, must not be mixed of two versions either.
          if (!isSameVersion(head, version)) throw changed(206);
          return part;
        },
      }),
    ).catch((error: unknown) => {
      const refused = error instanceof TransferError && error.kind === 'precondition-failed';
      throw refused ? new TransferError('source', changed(error.cause.status)) : error;
    });
    counters.downloadedBytes += bytes;
    const md5 = md5Base64(part);
    const uploaded = await at(
      'destination',
      destination.uploadPart(key, { uploadId, partNumber, body: part, md5 }),
    );
    counters.uploadedBytes += bytes;
    return { ...uploaded, md5 };
  } finally {
    partBuffers.giveBack(part);
    budget.release(bytes);
  }
}

function isSameVersion(a: ObjectVersion, b: ObjectVersion): boolean {
  return a.bytes === b.bytes && a.etag === b.etag && a.lastModified === b.lastModified;
}

function changed(status: number): StoreError {
  return new StoreError('the object changed while it was copied', {
    kind: 'precondition-failed',
    code: 'changed',
    status,
    mayHaveLanded: false,
  });
}
