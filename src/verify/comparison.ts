/**
 * What comparisons work with: shared by all keys.
 */
import type { Side } from '../domain.ts';
import { MigrateError } from '../errors.ts';
import type { VerifyCounters } from '../findings.ts';
import { type RetryContext, waitForRetry } from '../load/retry.ts';
import type { ObjectKey } from '../object-key.ts';
import { type ObjectStore, StoreError } from '../s3/object-store.ts';
import type { SideWatch } from './side-watch.ts';

/** What of a store a verification uses: it only reads. */
export type ReadableStore = Pick<ObjectStore, 'head' | 'get' | 'getTagging'>;

export interface Comparison extends RetryContext {
  readonly source: ReadableStore;
  readonly destination: ReadableStore;
  /** Whether headers and tags are compared too. */
  readonly metadata: boolean;
  /** The share of the keys whose content is read and compared: from 0, none, to 1, all. */
  readonly contentShare: number;
  /** Whether a key with nothing to find has a finding that says so. */
  readonly tellSame: boolean;
  readonly watches: Readonly<Record<Side, SideWatch>>;
  readonly counters: VerifyCounters;
  /** Once aborted, content that is being read is let go, and its key not done. */
  readonly signal: AbortSignal;
}

/** Connections closed while idle that one request may meet before they count as failed attempts. */
const STALE_RETRIES = 3;

/** What is asked for, and of whom; looked at when it has failed. */
export interface Asked {
  readonly key: ObjectKey;
  readonly side: Side;
}

/**
 * Repeats a request for as long as it fails in a way that may pass.
 *
 * @throws StoreError when it is given up; MigrateError when no other key could be compared either; RunEnding
 */
export async function patiently<T>(
  asked: Asked,
  request: () => Promise<T>,
  comparison: Comparison,
): Promise<T> {
  const { counters, watches } = comparison;
  let stale = 0;
  for (let attempt = 1; ; ) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (error.kind === 'no-such-bucket') throw bucketGone(error);
      if (error.stale && stale < STALE_RETRIES) {
        stale++;
        counters.retries++;
        continue;
      }
      const { key, side } = asked;
      const counted = await waitForRetry({ key, side, error, attempt }, comparison);
      if (counted === undefined) {
        await watches[side].judge(error);
        throw error;
      }
      attempt = counted + 1;
    }
  }
}

function bucketGone(cause: StoreError): MigrateError {
  return new MigrateError(
    `a store says that its bucket does not exist (any more): ${cause.message}`,
    {
      exitCode: 3,
      hint: 'Check the buckets, then give the same command again.',
      cause,
    },
  );
}
