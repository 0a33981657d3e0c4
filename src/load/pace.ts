/**
 * How many exchanges may begin a second with a store that refuses some as too many (503, 429).
 *
 * There is no pace until it does. Then the pace follows what the store was seen to take, along the curve of
 * CUBIC (RFC 9438): quickly back to just below where it was refused, slowly past it, so that nearly all of
 * what a store allows is used and few are refused. Where no pace helps, none is tried for a while.
 */

/** Successes are counted in slices of this length; so many make a second. */
const SLICE_MS = 100;
const A_SECOND = 10;
const SLICES = 10 * A_SECOND;
/** Looked at to tell how many a store takes: a second, or as many more as it takes to have seen so many. */
const SEEN_ENOUGH = 50;

/** The pace after a refusal, as a share of what the store was seen to take. */
const PACE_DECREASE = 0.95;
/** Between two decreases there is so much time, or so many answers. */
const DECREASE_EVERY_SECONDS = 1;
const ENOUGH_ANSWERS = 30;
/** A store that refuses more than this share takes far less than the pace, and what it was seen to take is the peak. */
const FAR_TOO_MUCH = 0.1;
/** But no less than this share of the pace: where every second request comes too early, all are just a little too fast. */
const MOST_DECREASE = 0.8;
/** One that goes on doing so after so many decreases has another reason: no pace is tried for a while. */
const MOST_IN_A_ROW = 3;
const UNPACED_MS = 30_000;
/** The peak is this many requests a second below where it was refused: of few a second, one more is too many soon again. */
const BELOW_REFUSAL = 0.4;
/** Until the pace is back there: a time, or that of so many requests, of which one is refused. */
const PLATEAU_SECONDS = 4;
const PLATEAU_REQUESTS = 200;
/** After twice that nothing is left of the peak but that it is too low: the pace grows by this factor a second. */
const GROWTH_A_SECOND = 1.15;
/** The same before the first refusal of a paced request: what was taken in the first moments tells little. */
const FIRST_GROWTH_A_SECOND = 1.6;
/** Least requests a second of one thread: less would look like a standstill. */
const LEAST_PACE = 4;
/** A pace that nobody has had to wait for in this time is no limit. */
const UNUSED_PACE_MS = 10_000;
/** Requests that may go at once after a pause, as time at the present pace. */
const BURST_SECONDS = 0.01;

export interface PaceOptions {
  /** Monotonic, ms. */
  readonly now: () => number;
  /** Called when {@link Pace.perSecond} has changed at once, and not by and by. */
  readonly onChange: () => void;
}

export class Pace {
  readonly #options: PaceOptions;
  /** Exchanges a second where the store last refused some; undefined while there is no pace. */
  #peak: number | undefined;
  #since = 0;
  /** No exchange has been refused that was paced. */
  #isFirst = false;
  /** Answers since it was set. */
  #answers = { taken: 0, refused: 0 };
  /** Decreases after which far too much was refused. */
  #inARow = 0;
  #noneUntil = Number.NEGATIVE_INFINITY;
  #perSecond = Number.POSITIVE_INFINITY;
  #tokens = 0;
  #tokensAt = 0;
  #waitedAt = Number.NEGATIVE_INFINITY;
  readonly #queue: (() => void)[] = [];
  #pump: NodeJS.Timeout | undefined;

  readonly #taken = new Float64Array(SLICES);
  #slice = 0;
  readonly #begunAt: number;

  constructor(options: PaceOptions) {
    this.#options = options;
    this.#begunAt = options.now();
  }

  /** Exchanges that may begin a second; undefined when that is not limited. */
  get perSecond(): number | undefined {
    return this.#peak === undefined ? undefined : this.#perSecond;
  }

  /** @returns undefined when an exchange may begin now, else when it is its turn */
  admit(): Promise<void> | undefined {
    if (this.#peak === undefined) return undefined;
    this.#refill();
    if (this.#queue.length === 0 && this.#tokens >= 1) {
      this.#tokens--;
      return undefined;
    }
    this.#waitedAt = this.#options.now();
    return new Promise((resolve) => {
      this.#queue.push(resolve);
      this.#pumpSoon();
    });
  }

  /** The store has taken an exchange. */
  taken(now: number): void {
    this.#answers.taken++;
    this.#advanceSlices(now);
    const at = this.#slice % SLICES;
    this.#taken[at] = (this.#taken[at] as number) + 1;
  }

  /**
   * The store has refused an exchange as one too many.
   *
   * @returns whether the pace follows from that: not with a store that has taken nothing yet, or that no pace helped
   *   against
   */
  refused(begunAt: number, now: number): boolean {
    if (begunAt >= this.#since) this.#answers.refused++;
    if (this.#peak === undefined) {
      const perSecond = this.#takenPerSecond(now);
      if (now < this.#noneUntil || perSecond === 0) return false;
      this.#isFirst = true;
      this.#inARow = 0;
      this.#set(perSecond, now);
    } else if (begunAt >= this.#since) {
      // What was sent before the last decrease says nothing of the pace since.
      this.#isFirst = false;
      this.#slowDown(now);
    }
    return true;
  }

  /** To be called several times a second. */
  grow(now: number): void {
    if (this.#peak === undefined) return;
    if (now - this.#waitedAt > UNUSED_PACE_MS) {
      this.end(now);
      return;
    }
    this.#refill();
    const growth = this.#growthAfter((now - this.#since) / 1_000, this.#peak);
    this.#perSecond = Math.max(LEAST_PACE, this.#peak * growth);
    if (this.#queue.length > 0) this.#pumpSoon();
  }

  /**
   * There is no pace any more, and all who wait may begin.
   *
   * @param until - so long none is tried again
   */
  end(until: number): void {
    if (this.#peak === undefined) return;
    this.#peak = undefined;
    this.#perSecond = Number.POSITIVE_INFINITY;
    this.#noneUntil = until;
    this.#admitAll();
    this.#options.onChange();
  }

  /** Nobody waits any more. */
  close(): void {
    clearTimeout(this.#pump);
    this.#admitAll();
  }

  #admitAll(): void {
    for (const resolve of this.#queue.splice(0)) resolve();
  }

  #slowDown(now: number): void {
    const seconds = (now - this.#since) / 1_000;
    const { taken, refused } = this.#answers;
    // How the store fares with the pace it has is seen only after a while.
    if (seconds < DECREASE_EVERY_SECONDS && taken + refused < ENOUGH_ANSWERS) return;
    const isFarTooMuch = refused > FAR_TOO_MUCH * (taken + refused);
    this.#inARow = isFarTooMuch ? this.#inARow + 1 : 0;
    if (this.#inARow > MOST_IN_A_ROW) {
      this.end(now + UNPACED_MS);
      return;
    }
    // A store that had saved up for a burst has let the pace grow past what it takes in the long run.
    const seen = isFarTooMuch ? taken / seconds : this.#takenPerSecond(now);
    const peak = isFarTooMuch ? seen : Math.min(seen, this.#perSecond - BELOW_REFUSAL);
    this.#set(Math.max(MOST_DECREASE * this.#perSecond, peak), now);
  }

  /** @param peak - exchanges a second */
  #set(peak: number, now: number): void {
    this.#peak = Math.max(LEAST_PACE, peak);
    this.#since = now;
    this.#answers = { taken: 0, refused: 0 };
    this.#perSecond = Math.max(LEAST_PACE, peak * PACE_DECREASE);
    this.#tokens = Math.min(this.#tokens, 0);
    this.#tokensAt = now;
    this.#waitedAt = now;
    this.#options.onChange();
  }

  /** The pace as a share of its peak, so many seconds after that was set. */
  #growthAfter(seconds: number, peak: number): number {
    if (this.#isFirst) return PACE_DECREASE * FIRST_GROWTH_A_SECOND ** seconds;
    const plateau = Math.max(PLATEAU_SECONDS, PLATEAU_REQUESTS / peak);
    const onCurve = Math.min(seconds, 2 * plateau);
    const curve = 1 + (1 - PACE_DECREASE) * (onCurve / plateau - 1) ** 3;
    return curve * GROWTH_A_SECOND ** (seconds - onCurve);
  }

  /** Successes a second, of late. In the first second they are taken for all of it. */
  #takenPerSecond(now: number): number {
    this.#advanceSlices(now);
    let taken = 0;
    let slices = 0;
    while (slices < A_SECOND || (taken < SEEN_ENOUGH && slices < SLICES && slices < this.#slice)) {
      taken += this.#taken[(this.#slice - slices + SLICES) % SLICES] as number;
      slices++;
    }
    return (taken / slices) * A_SECOND;
  }

  #advanceSlices(now: number): void {
    const slice = Math.floor((now - this.#begunAt) / SLICE_MS);
    if (slice - this.#slice >= SLICES) this.#taken.fill(0);
    else for (let i = this.#slice + 1; i <= slice; i++) this.#taken[i % SLICES] = 0;
    this.#slice = slice;
  }

  #refill(): void {
    const now = this.#options.now();
    const most = Math.max(1, this.#perSecond * BURST_SECONDS);
    const since = (now - this.#tokensAt) / 1_000;
    this.#tokens = Math.min(most, this.#tokens + since * this.#perSecond);
    this.#tokensAt = now;
  }

  #pumpSoon(): void {
    if (this.#pump !== undefined) return;
    const ms = Math.max(1, ((1 - this.#tokens) / this.#perSecond) * 1_000);
    this.#pump = setTimeout(() => {
      this.#pump = undefined;
      if (this.#peak === undefined) return;
      this.#refill();
      while (this.#tokens >= 1 && this.#queue.length > 0) {
        this.#tokens--;
        this.#queue.shift()?.();
      }
      if (this.#queue.length > 0) {
        this.#waitedAt = this.#options.now();
        this.#pumpSoon();
      }
    }, ms);
  }
}
