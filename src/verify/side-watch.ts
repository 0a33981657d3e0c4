/**
 * Tells a key that may not be read from a side that refuses all: then the verification is stopped with the cause,
 * instead of an error for each of a million keys.
 *
 * A key that is denied is held back while that is open: until the bucket was asked, and, while nothing of the side
 * has been read yet, until something is, some more are denied, or nothing happens for a moment.
 */
import type { MigrateError } from '../errors.ts';
import { type RetryPolicy, retrying } from '../load/retry.ts';
import { StoreError } from '../s3/object-store.ts';
import { denied, expired, revoked, type WatchedSide } from '../s3/refused-side.ts';
import { sideRefusal } from '../s3/side-refusals.ts';

/** As many first keys, all denied, are more than errors of their own. */
const ENOUGH = 10;
const A_MOMENT_MS = 1_000;

interface Held {
  readonly resolve: () => void;
  readonly reject: (error: MigrateError) => void;
}

export interface SideWatchOptions {
  readonly side: WatchedSide;
  /** Whether an earlier start has read something of it. */
  readonly hasWorked: boolean;
  readonly retry: RetryPolicy;
}

export class SideWatch {
  readonly #side: WatchedSide;
  readonly #retry: RetryPolicy;
  #hasWorked: boolean;
  #denied = 0;
  #held: Held[] = [];
  #moment: NodeJS.Timeout | undefined;
  #asking: Promise<StoreError | undefined> | undefined;
  #askingNext: Promise<StoreError | undefined> | undefined;

  constructor({ side, hasWorked, retry }: SideWatchOptions) {
    this.#side = side;
    this.#hasWorked = hasWorked;
    this.#retry = retry;
  }

  /** Something has been read. */
  worked(): void {
    if (this.#hasWorked) return;
    this.#hasWorked = true;
    this.#release();
  }

  /**
   * To be asked before a refusal is taken for the key's own. Waits until that is known.
   *
   * @throws MigrateError when it is about the side
   */
  async judge(error: StoreError): Promise<void> {
    const refusal = sideRefusal(error);
    if (refusal === 'expired') throw expired(this.#side, error);
    if (refusal !== 'denied') return;
    const answer = await this.#bucketAnswer();
    if (answer !== undefined && sideRefusal(answer) !== undefined) {
      throw revoked(this.#side, error, 'an object');
    }
    if (!this.#hasWorked) await this.#hold(error);
  }

  #hold(error: StoreError): Promise<void> {
    this.#denied++;
    if (this.#denied >= ENOUGH) {
      const stop = denied(this.#side, error, { count: this.#denied, may: 'read' });
      for (const { reject } of this.#held.splice(0)) reject(stop);
      return Promise.reject(stop);
    }
    clearTimeout(this.#moment);
    this.#moment = setTimeout(() => this.#release(), A_MOMENT_MS);
    return new Promise((resolve, reject) => {
      this.#held.push({ resolve, reject });
    });
  }

  #release(): void {
    clearTimeout(this.#moment);
    for (const { resolve } of this.#held.splice(0)) resolve();
  }

  /** Never asks twice at once: who comes meanwhile shares the next answer, which is younger than its question. */
  #bucketAnswer(): Promise<StoreError | undefined> {
    if (this.#asking === undefined) return this.#ask();
    const askAgain = (): Promise<StoreError | undefined> => {
      this.#askingNext = undefined;
      return this.#ask();
    };
    this.#askingNext ??= this.#asking.then(askAgain, askAgain);
    return this.#askingNext;
  }

  /** @returns the bucket's refusal, or what it fails with again and again; undefined when it answers */
  #ask(): Promise<StoreError | undefined> {
    const asking = retrying(() => this.#side.headBucket(), this.#retry)
      .then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof StoreError) return error;
          throw error;
        },
      )
      .finally(() => {
        if (this.#asking === asking) this.#asking = undefined;
      });
    this.#asking = asking;
    return asking;
  }
}
