/**
 * One exchange of many that an object takes, tried again by itself: what the others have done is not lost to
 * a passing fault.
 */
import type { CopyContext } from './copy-context.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';
import { exhausted, TransferError } from './transfer-error.ts';

/**
 * @param exchange - may be called several times
 * @throws TransferError; one that passes is made one that does not, for the object is not to be begun anew as
 *   many times again
 */
export async function insist<T>(
  exchange: () => Promise<T>,
  { retry, counters }: Pick<CopyContext, 'retry' | 'counters'>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await exchange();
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      const wait = waitBeforeRetry(error.cause, attempt, retry);
      if (wait === undefined) throw isPassing(error.cause) ? exhausted(error, attempt) : error;
      counters.retries++;
      await retry.sleep(wait);
    }
  }
}
