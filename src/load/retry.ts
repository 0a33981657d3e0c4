/**
 * When a failed exchange is worth another try, and how long to wait before it.
 *
 * Exponential with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/):
 * many workers that were refused together must not come back together. Retry-After is honoured up to a cap.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Side } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import { StoreError, type StoreErrorKind } from '../s3/object-store.ts';

export interface RetryPolicy {
  /** Attempts an object, a part or a small request may take; at least 1. */
  readonly maxAttempts: number;
  /** Upper bound of the first wait, in ms; doubles with each further one. */
  readonly baseMs: number;
  /** Upper bound of any wait, Retry-After included, in ms. */
  readonly capMs: number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

const PASSING: ReadonlySet<StoreErrorKind> = new Set([
  'conflict',
  'bad-digest',
  'throttled',
  'unavailable',
  'full',
  'unreachable',
  'network',
  'not-s3',
]);

/** A store that is full gets no room in seconds; but what others are deleting, or an upload that is aborted, may. */
const ATTEMPTS_WHEN_FULL = 3;

/** Whether the same request may succeed later. */
export function isPassing(error: StoreError): boolean {
  return PASSING.has(error.kind);
}

const TROUBLE: ReadonlySet<StoreErrorKind> = new Set([
  'throttled',
  'unavailable',
  'unreachable',
  'network',
]);

/** Whether it is a sign that the store itself is in trouble, and not only this exchange. */
export function isStoreTrouble({ kind, code, status }: StoreError): boolean {
  if (kind === 'network') return status === 0 && code !== 'aborted';
  return TROUBLE.has(kind);
}

const TOO_LATE: ReadonlySet<string> = new Set([
  'connect-timeout',
  'first-byte-timeout',
  'idle-timeout',
  'too-slow',
]);
/** 502, 504 and 522, 524 of proxies: what is behind them did not answer in time. */
const TOO_LATE_STATUS: ReadonlySet<number> = new Set([502, 504, 522, 524]);

/** Whether the store did not answer in time, as one does that has too much to do. */
export function isTooLate({ code, status }: StoreError): boolean {
  return TOO_LATE.has(code) || TOO_LATE_STATUS.has(status);
}

/**
 * @param attempt the attempt that failed, from 1
 * @returns the wait before the next attempt in ms, or undefined when there shall be none
 */
export function waitBeforeRetry(
  error: StoreError,
  attempt: number,
  { maxAttempts, baseMs, capMs, random }: RetryPolicy,
): number | undefined {
  const most = error.kind === 'full' ? Math.min(maxAttempts, ATTEMPTS_WHEN_FULL) : maxAttempts;
  if (attempt >= most || !isPassing(error)) return undefined;
  const jittered = random() * Math.min(capMs, baseMs * 2 ** (attempt - 1));
  return Math.max(jittered, Math.min(capMs, error.retryAfterMs ?? 0));
}

/** What has failed, of which object. */
export interface FailedAttempt {
  readonly key: ObjectKey;
  readonly side: Side;
  readonly error: StoreError;
  /** From 1. */
  readonly attempt: number;
}

export interface RetryContext {
  readonly retry: RetryPolicy;
  readonly counters: { retries: number };
  /** See `BothSides.outlast`. */
  readonly outlast: (failed: FailedAttempt, isLast: boolean) => Promise<boolean>;
}

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
  const wait = waitBeforeRetry(error, attempt, retry);
  if (isPassing(error) && (await outlast(failed, wait === undefined))) {
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
 * Tries an exchange again for as long as its failure may pass, and no longer than its attempts: an outage is not waited for.
 *
 * @throws StoreError, the last one; RunEnding
 */
export async function retrying<T>(exchange: () => Promise<T>, retry: RetryPolicy): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await exchange();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      const wait = waitBeforeRetry(error, attempt, retry);
      if (wait === undefined) throw error;
      await retry.sleep(wait);
    }
  }
}

/** The run comes to its end, and an object has had its last attempt in it: the next run begins it anew. */
export class RunEnding extends Error {
  override readonly name = 'RunEnding';
}

/** How long objects may go on trying after the run was asked to end, in ms, and how long they wait then. */
const ENDING_MS = 5_000;
const ENDING_WAIT_MS = 1_000;

/**
 * At most a minute of waiting for one object, besides what its exchanges take; more where a store asks for
 * it.
 *
 * @param signal asks the run to end. An object under way is then tried again with short waits, so that a
 *   passing fault does not leave it undone; after `endingMs` its wait throws {@link RunEnding}, so that
 *   nobody who has pressed Ctrl-C sits out a storm of refusals
 */
export function retryPolicy(signal: AbortSignal, endingMs = ENDING_MS): RetryPolicy {
  const ended = new AbortController();
  signal.addEventListener('abort', () => setTimeout(() => ended.abort(), endingMs).unref());
  return {
    maxAttempts: 8,
    baseMs: 500,
    capMs: 60_000,
    random: Math.random,
    sleep: async (ms) => {
      if (!signal.aborted) {
        await delay(ms, undefined, { signal }).catch(() => {});
        return;
      }
      try {
        await delay(Math.min(ms, ENDING_WAIT_MS), undefined, { signal: ended.signal });
      } catch (cause) {
        throw new RunEnding('the run comes to its end', { cause });
      }
    },
  };
}
