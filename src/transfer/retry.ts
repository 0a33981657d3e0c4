/**
 * When a failed exchange is worth another try, and how long to wait before it.
 *
 * Exponential with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/):
 * many workers that were refused together must not come back together. Retry-After is honoured up to a cap.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { StoreError, StoreErrorKind } from '../s3/object-store.ts';

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
  'unreachable',
  'network',
  'not-s3',
]);

/** Whether the same request may succeed later. */
export function isPassing(error: StoreError): boolean {
  return PASSING.has(error.kind);
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
  if (attempt >= maxAttempts || !isPassing(error)) return undefined;
  const jittered = random() * Math.min(capMs, baseMs * 2 ** (attempt - 1));
  return Math.max(jittered, Math.min(capMs, error.retryAfterMs ?? 0));
}

/** A wait was cut short because the run comes to its end: the next one begins this object anew. */
export class WaitInterrupted extends Error {
  override readonly name = 'WaitInterrupted';
}

/**
 * At most a minute of waiting for one object, besides what its exchanges take; more where a store asks for
 * it.
 *
 * @param signal ends every wait with {@link WaitInterrupted}: an operator who has pressed Ctrl-C in a storm
 *   of refusals does not want to sit it out
 */
export function retryPolicy(signal: AbortSignal): RetryPolicy {
  return {
    maxAttempts: 8,
    baseMs: 500,
    capMs: 30_000,
    random: Math.random,
    sleep: (ms) =>
      delay(ms, undefined, { signal }).catch((error: unknown) => {
        throw signal.aborted ? new WaitInterrupted('the run comes to its end') : error;
      }),
  };
}
