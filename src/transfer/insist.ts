/**
 * Trying one exchange again of many that an object takes, so that what the others have done is not lost to a
 * passing fault.
 */
import { isPassing, type RetryContext, waitForRetry } from '../load/retry.ts';
import type { ObjectKey } from '../object-key.ts';
import { exhausted, failedAttempt, TransferError } from './transfer-error.ts';

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
      const counted = await waitForRetry(failedAttempt(key, error, attempt), context);
      if (counted === undefined) throw isPassing(error.cause) ? exhausted(error, attempt) : error;
      attempt = counted;
    }
  }
}
