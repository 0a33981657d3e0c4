/**
 * How fast a growing total has grown of late.
 *
 * The rate is the growth over a window that ends with the newest reading. Until the window is full it
 * covers all there is, so the first rates are those of the run so far and not a slow climb from zero.
 * Readings may come at any distance: some a second for a terminal, one in 30 s for a log file. Memory
 * is bounded however often it is read.
 */

/** A window is kept as so many readings, which places its far end within 1/30 of its length. */
const READINGS_PER_WINDOW = 30;

/** Growth within less than this counts as growth within this: the first object of a run must not show as 1000/s. */
const SHORTEST_SPAN_MS = 1000;

interface Reading {
  readonly atMs: number;
  readonly total: number;
}

export class MovingRate {
  readonly #windowMs: number;
  /** Oldest first; the first is the last one at or before the far end of the window. */
  readonly #readings: Reading[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /**
   * @param atMs on a monotonic clock; never before the last reading
   * @param total never less than the last reading
   */
  add(atMs: number, total: number): void {
    const readings = this.#readings;
    const [beforeNewest, newest] = [readings.at(-2), readings.at(-1)];
    const tooNear =
      beforeNewest !== undefined &&
      newest !== undefined &&
      newest.atMs - beforeNewest.atMs < this.#windowMs / READINGS_PER_WINDOW;
    if (tooNear) readings.pop();
    readings.push({ atMs, total });

    const farEndMs = atMs - this.#windowMs;
    for (let next = readings[1]; next !== undefined && next.atMs <= farEndMs; next = readings[1]) {
      readings.shift();
    }
  }

  /** The time the rate is taken over, in ms; 0 until there are two readings. */
  get spanMs(): number {
    const [oldest, newest] = [this.#readings[0], this.#readings.at(-1)];
    return oldest === undefined || newest === undefined ? 0 : newest.atMs - oldest.atMs;
  }

  /** Growth a second over the window; ≥ 0. */
  get perSecond(): number {
    const [oldest, newest] = [this.#readings[0], this.#readings.at(-1)];
    if (oldest === undefined || newest === undefined) return 0;
    return ((newest.total - oldest.total) * 1000) / Math.max(this.spanMs, SHORTEST_SPAN_MS);
  }
}
