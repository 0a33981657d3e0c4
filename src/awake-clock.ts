/**
 * Monotonic time without the stretches in which this thread itself stood still: stopped by a signal, suspended, or
 * kept from running by its host. Who measures the silence of others by it does not put down to them what
 * was its own.
 */

/** A gap of so many intervals is no mere delay of a timer. */
const STILL_INTERVALS = 4;

export class AwakeClock {
  readonly #monotonic: () => number;
  readonly #everyMs: number;
  #last: number;
  #stillMs = 0;

  /**
   * @param monotonic - a clock that never goes back, in ms
   * @param everyMs - how often a timer asks for {@link now}: it is by the gap between two of its questions that the
   *   clock knows that its thread stood still
   */
  constructor(monotonic: () => number, everyMs: number) {
    this.#monotonic = monotonic;
    this.#everyMs = everyMs;
    this.#last = monotonic();
  }

  /** In ms. A stretch of standing still counts as one interval, so that time passes whatever the host does. */
  now(): number {
    const now = this.#monotonic();
    const gap = now - this.#last;
    this.#last = now;
    if (gap > STILL_INTERVALS * this.#everyMs) this.#stillMs += gap - this.#everyMs;
    return now - this.#stillMs;
  }
}
