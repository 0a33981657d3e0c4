/**
 * Aborts an upload that shall not become an object.
 */
import { retrying } from '../../load/retry.ts';
import type { ObjectKey } from '../../object-key.ts';
import { StoreError } from '../../s3/object-store.ts';
import type { CopyContext } from '../copy-context.ts';

/** An upload at the destination, with its number in the journal. */
export interface OwnUpload {
  readonly number: number;
  readonly uploadId: string;
}

/** What it takes to abort an upload. */
export type AbortContext = Pick<CopyContext, 'destination' | 'retry' | 'uploads'>;

/**
 * One that cannot be aborted stays in the journal, for the run's end and the next start to try again; the object's
 * outcome stands.
 */
export async function abortUpload(
  key: ObjectKey,
  { number, uploadId }: OwnUpload,
  { destination, retry, uploads }: AbortContext,
): Promise<void> {
  // First: were it aborted in part when the process dies, its other parts must not be gone on with.
  uploads.abandon(number);
  try {
    await retrying(() => destination.abortMultipartUpload(key, uploadId), retry);
    uploads.over(number);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
  }
}
