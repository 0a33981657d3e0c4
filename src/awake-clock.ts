/**
 * Monotonic time without the stretches in which this thread itself stood still: stopped by a signal, suspended, or
 * kept from running by its host. Who measures the silence of others by it does not put down to them what
 * was its own.
 */

/** How often a timer asks a clock for the time, in ms. */
const ASK_CLOCK_EVERY_MS = 500;
/** A gap of so many intervals is no mere delay of a timer. */
const STILL_INTERVALS = 4;

export interface AwakeClockOptions {
  /** A clock that never goes back, in ms. */
  readonly monotonic: () => number;
  /**
   * How often a timer asks for {@link AwakeClock.now}, in ms: it is by the gap between two questions that the clock knows
   * that its thread stood still.
   */
  readonly everyMs: number;
  /** Told at the end of each stretch how long it was, in ms. */
  readonly onStill?: (ms: number) => void;
}

export class AwakeClock {
  readonly #options: AwakeClockOptions;
  #last: number;
  #stillMs = 0;

  constructor(options: AwakeClockOptions) {
    this.#options = options;
    this.#last = options.monotonic();
  }

  /** In ms. A stretch of standing still counts as one interval, so that time passes whatever the host does. */
  now(): number {
    const { monotonic, everyMs, onStill } = this.#options;
    const now = monotonic();
    const gap = now - this.#last;
    this.#last = now;
    if (gap > STILL_INTERVALS * everyMs) {
      this.#stillMs += gap - everyMs;
      onStill?.(gap);
    }
    return now - this.#stillMs;
  }
}

/** An {@link AwakeClock} and the timer that asks it, which does not keep the thread alive. */
export interface TickingClock {
  readonly now: () => number;
  stop(): void;
}

/** @param onTick - called twice a second with the time; not while the thread stands still */
export function startAwakeClock(
  onTick: (now: number) => void = () => {},
  onStill: (ms: number) => void = () => {},
): TickingClock {
  const clock = new AwakeClock({
    monotonic: () => performance.now(),
    everyMs: ASK_CLOCK_EVERY_MS,
    onStill,
  });
  const timer = setInterval(() => onTick(clock.now()), ASK_CLOCK_EVERY_MS);
  timer.unref();
  return { now: () => clock.now(), stop: () => clearInterval(timer) };
}
