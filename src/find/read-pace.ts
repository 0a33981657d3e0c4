/**
 * Tells whether calls to the file system are better waited for or left to other threads, many at once.
 *
 * To leave a call to another thread takes some 20 us, half of what it takes to read a small
 * directory that is cached. For long directories it pays, and on a network file system, where
 * an answer takes milliseconds, only that helps. Which it is can change on the way, so it is measured.
 */

/**
 * Slower calls than this, in the mean, are better made in parallel. Reading 300,000 cached entries took
 * 0.11 s waiting and 0.075 s in parallel with 1,000 to a directory (0.4 ms a call); with 100 (40 us),
 * all of s3find took 0.28 s waiting and 0.33 s in parallel (2 cores).
 */
const SLOW_CALL_MS = 0.12;
/** Weight of the newest call in the mean. */
const NEWEST_SHARE = 0.1;
/** Calls left to other threads before one is waited for, to see whether the file system is quick by now. */
const CALLS_BETWEEN_TRIALS = 500;

export class ReadPace {
  readonly #slowCallMs: number;
  #meanMs = 0;
  #parallelCalls = 0;

  /** @param slowCallMs - with 0, no call but a trial is waited for */
  constructor(slowCallMs = SLOW_CALL_MS) {
    this.#slowCallMs = slowCallMs;
  }

  /** Whether many calls at once are better. */
  isSlow(): boolean {
    return this.#meanMs >= this.#slowCallMs;
  }

  /** Whether to wait for the next call: the file system is quick, or a trial is due. */
  isQuick(): boolean {
    return !this.isSlow() || this.#parallelCalls >= CALLS_BETWEEN_TRIALS;
  }

  /** Makes some calls one after another, waits for them, and learns from it. */
  waitFor(calls: number, make: () => void): void {
    const beganMs = performance.now();
    make();
    this.#learn((performance.now() - beganMs) / calls);
  }

  countParallel(): void {
    this.#parallelCalls++;
  }

  #learn(callMs: number): void {
    // A trial decides alone: one quick answer after many slow ones would not move the mean.
    const share = this.#parallelCalls > 0 ? 1 : NEWEST_SHARE;
    this.#meanMs += (callMs - this.#meanMs) * share;
    this.#parallelCalls = 0;
  }
}
