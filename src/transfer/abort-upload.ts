/**
 * Aborts an upload that shall not become an object.
 */
import type { ObjectKey } from '../object-key.ts';
import { StoreError } from '../s3/object-store.ts';
import type { CopyContext } from './copy-context.ts';
import { waitBeforeRetry } from './retry.ts';

/** One that cannot be aborted is left to the store's own clean-up rule; the object's outcome stands. */
export async function abortUpload(
  key: ObjectKey,
  uploadId: string,
  { destination, retry }: Pick<CopyContext, 'destination' | 'retry'>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await destination.abortMultipartUpload(key, uploadId);
      return;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const wait = waitBeforeRetry(error, attempt, retry);
      if (wait === undefined) return;
      await retry.sleep(wait);
    }
  }
}
