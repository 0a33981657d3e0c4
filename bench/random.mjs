/**
 * Numbers that a seed decides: Mulberry32. What else decides a bench is the machine's speed.
 */
export class Random {
  #state;

  /** @param seed a whole number; its lower 32 bits count */
  constructor(seed) {
    this.#state = seed | 0;
  }

  /** From 0 on, below 1. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From the first on, below the second. */
  between(from, below) {
    return from + this.next() * (below - from);
  }

  /** A whole number; both bounds are possible. */
  whole(from, to) {
    return Math.floor(this.between(from, to + 1));
  }

  chance(probability) {
    return this.next() < probability;
  }

  one(of) {
    return of[this.whole(0, of.length - 1)];
  }
}
