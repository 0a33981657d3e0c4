/**
 * When another attempt is made, and after how long.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  isPassing,
  type RetryPolicy,
  RunEnding,
  retryPolicy,
  waitBeforeRetry,
} from '../../src/load/retry.ts';
import { StoreError, type StoreErrorKind } from '../../src/s3/object-store.ts';

const KINDS: Record<StoreErrorKind, boolean> = {
  'not-found': false,
  'no-such-bucket': false,
  'no-such-upload': false,
  'precondition-failed': false,
  conflict: true,
  'bad-digest': true,
  throttled: true,
  unavailable: true,
  full: true,
  denied: false,
  'not-implemented': false,
  redirected: false,
  refused: false,
  unreachable: true,
  network: true,
  'not-s3': true,
};

const error = (kind: StoreErrorKind, retryAfterMs?: number) =>
  new StoreError('so it is', { kind, code: 'Code', status: 0, mayHaveLanded: false, retryAfterMs });

const policy = (changes: Partial<RetryPolicy> = {}): RetryPolicy => ({
  ...retryPolicy(new AbortController().signal),
  maxAttempts: 5,
  baseMs: 100,
  capMs: 1000,
  random: () => 0.5,
  ...changes,
});

it.each(Object.entries(KINDS))('what is %s passes: %s', (kind, passes) => {
  expect(isPassing(error(kind as StoreErrorKind))).toBe(passes);
  expect(waitBeforeRetry(error(kind as StoreErrorKind), 1, policy()) !== undefined).toBe(passes);
});

it('doubles the bound of the wait up to the cap', () => {
  const waits = [1, 2, 3, 4].map((attempt) =>
    waitBeforeRetry(error('network'), attempt, policy({ maxAttempts: 10 })),
  );
  expect(waits).toEqual([50, 100, 200, 400]);
  expect(waitBeforeRetry(error('network'), 9, policy({ maxAttempts: 10 }))).toBe(500);
});

it('makes as many attempts as the policy says', () => {
  expect(waitBeforeRetry(error('network'), 4, policy())).toBeDefined();
  expect(waitBeforeRetry(error('network'), 5, policy())).toBeUndefined();
  expect(waitBeforeRetry(error('network'), 1, policy({ maxAttempts: 1 }))).toBeUndefined();
});

it('makes only few attempts where there is no room', () => {
  expect(waitBeforeRetry(error('full'), 2, policy())).toBeDefined();
  expect(waitBeforeRetry(error('full'), 3, policy())).toBeUndefined();
  expect(waitBeforeRetry(error('full'), 1, policy({ maxAttempts: 1 }))).toBeUndefined();
});

describe('what the store asks for', () => {
  it('is waited at least', () => {
    expect(waitBeforeRetry(error('throttled', 700), 1, policy())).toBe(700);
    expect(waitBeforeRetry(error('throttled', 1), 1, policy())).toBe(50);
  });

  it('is capped', () => {
    expect(waitBeforeRetry(error('throttled', 1e12), 1, policy())).toBe(1000);
  });
});

it('waits within its bounds, whatever comes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.option(fc.nat({ max: 1e12 }), { nil: undefined }),
      (attempt, random, retryAfterMs) => {
        const limits = policy({ maxAttempts: 101, random: () => random });
        const wait = waitBeforeRetry(error('throttled', retryAfterMs), attempt, limits) as number;
        expect(wait).toBeGreaterThanOrEqual(Math.min(limits.capMs, retryAfterMs ?? 0));
        expect(wait).toBeLessThanOrEqual(limits.capMs);
        if (retryAfterMs === undefined) {
          expect(wait).toBeLessThanOrEqual(limits.baseMs * 2 ** (attempt - 1));
        }
      },
    ),
  );
});

describe('a run that comes to its end', () => {
  it('cuts the wait under way short, for another attempt', async () => {
    const interruption = new AbortController();
    const waited = retryPolicy(interruption.signal).sleep(3_600_000);
    interruption.abort('SIGINT');
    await expect(waited).resolves.toBeUndefined();
  });

  it('lets objects wait no longer than it lasts', async () => {
    const interruption = new AbortController();
    const { sleep } = retryPolicy(interruption.signal, 10);
    interruption.abort('SIGINT');
    await expect(sleep(3_600_000)).rejects.toThrow(RunEnding);
  });
});
