/**
 * Trying again: an object, or one exchange of many that an object takes, so that what the others have done
 * is not lost to a passing fault.
 */
import type { ObjectKey } from '../object-key.ts';
import type { CopyContext } from './copy-context.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';
import { exhausted, type FailedAttempt, TransferError } from './transfer-error.ts';

export type RetryContext = Pick<CopyContext, 'retry' | 'counters' | 'outlast'>;

/**
 * Waits until it may be tried again.
 *
 * @returns how many attempts count against it: fewer once a store that was down is there again; undefined when
 *   there shall be no further one
 * @throws RunEnding; MigrateError when the store stays down
 */
export async function waitForRetry(
  failed: FailedAttempt,
  { retry, counters, outlast }: RetryContext,
): Promise<number | undefined> {
  const { error, attempt } = failed;
  const wait = waitBeforeRetry(error.cause, attempt, retry);
  if (isPassing(error.cause) && (await outlast(failed, wait === undefined))) {
    counters.retries++;
    // All that have waited for the store must not be there at the same moment.
    await retry.sleep(retry.random() * retry.baseMs);
    return 0;
  }
  if (wait === undefined) return undefined;
  counters.retries++;
  await retry.sleep(wait);
  return attempt;
}

/**
 * @param exchange - may be called several times
 * @throws TransferError; one that passes is made one that does not, for the object is not to be begun anew as
 *   many times again. RunEnding; MigrateError when the store stays down
 */
export async function insist<T>(
  key: ObjectKey,
  exchange: () => Promise<T>,
  context: RetryContext,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await exchange();
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      const counted = await waitForRetry({ key, error, attempt }, context);
      if (counted === undefined) throw isPassing(error.cause) ? exhausted(error, attempt) : error;
      attempt = counted;
    }
  }
}
