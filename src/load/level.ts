/**
 * How many exchanges may be under way with a store: fewer when it stops answering in time, or when its answers come
 * ever later, and by and by more again.
 */

const DECREASE = 0.7;
const DECREASE_EVERY_MS = 1_000;
/** Seconds in which it grows from nothing to the most. */
const GROWTH_SECONDS = 30;

/** Answers that come this many times later than they did, and this much, are of a store with too much to do. */
const LATE_FACTOR = 4;
const LATE_MS = 100;
const LATE_SAMPLES = 8;
/** What an answer takes when all is well is relearnt so slowly, as a factor for each call of {@link Level.adapt}. */
const BASE_DRIFT = 1.002;

export interface LevelLimits {
  readonly least: number;
  readonly most: number;
}

export class Level {
  readonly #limits: LevelLimits;
  #value: number;
  #fellAt = Number.NEGATIVE_INFINITY;
  #latencySum = 0;
  #latencyCount = 0;
  #latencyMs = 0;
  #baseMs = Number.POSITIVE_INFINITY;

  constructor(limits: LevelLimits) {
    this.#limits = limits;
    this.#value = limits.most;
  }

  /** From `least` to `most`. */
  get value(): number {
    return this.#value;
  }

  /** What a small request has waited for its answer of late, in ms. */
  get latencyMs(): number {
    return this.#latencyMs;
  }

  /**
   * How long a small request has waited for its answer.
   *
   * @returns whether there are enough for {@link adapt} to look at, since just now
   */
  measured(latencyMs: number): boolean {
    this.#latencySum += latencyMs;
    this.#latencyCount++;
    return this.#latencyCount === LATE_SAMPLES;
  }

  /**
   * Falls, at most once a second.
   *
   * @param underWay - exchanges there were
   * @returns whether it was time for that
   */
  fall(now: number, underWay: number, floor: number = this.#limits.least): boolean {
    if (now - this.#fellAt < DECREASE_EVERY_MS) return false;
    this.#fellAt = now;
    const lower = Math.min(this.#value, underWay) * DECREASE;
    this.#value = Math.max(this.#limits.least, Math.min(this.#value, floor), lower);
    return true;
  }

  /**
   * Falls when answers come late, else grows.
   *
   * @param sinceMs - the time since the last call
   * @param mayGrow - false while the store is down: that it does not answer slower is no sign of room
   */
  adapt(now: number, { sinceMs, mayGrow }: { sinceMs: number; mayGrow: boolean }): void {
    this.#lookAtLatency(now);
    const { most } = this.#limits;
    if (!mayGrow || now - this.#fellAt < sinceMs || this.#value >= most) return;
    const seconds = sinceMs / 1_000;
    const growth = Math.max(most / GROWTH_SECONDS, 1) * seconds;
    this.#value = Math.min(most, this.#value + growth);
  }

  #lookAtLatency(now: number): void {
    if (this.#latencyCount < LATE_SAMPLES) return;
    this.#latencyMs = this.#latencySum / this.#latencyCount;
    this.#latencySum = 0;
    this.#latencyCount = 0;
    this.#baseMs = Math.min(this.#baseMs * BASE_DRIFT, this.#latencyMs);
    if (this.#latencyMs > LATE_FACTOR * this.#baseMs + LATE_MS) this.fall(now, this.#value);
  }
}
