/**
 * How the main thread knows that a worker thread still runs: the worker counts up in shared memory twice a second,
 * and a count that stands still is a thread that does.
 *
 * A message would not do: one that a busy thread does not answer and one that waits behind thousands look the same.
 */

const BEAT_EVERY_MS = 500;

/** Memory for the pulse of one thread. */
export function newPulse(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** In the thread itself: beats as long as its event loop turns; does not keep it alive. */
export function beat(pulse: SharedArrayBuffer): void {
  const count = new Int32Array(pulse);
  setInterval(() => Atomics.add(count, 0, 1), BEAT_EVERY_MS).unref();
}

/** In another thread: feels a pulse. */
export class PulseWatch {
  readonly #count: Int32Array;
  #seen = 0;
  #seenAt: number;

  /** @param now - in ms, of a clock that stands still when this thread does */
  constructor(pulse: SharedArrayBuffer, now: number) {
    this.#count = new Int32Array(pulse);
    this.#seenAt = now;
  }

  /** @returns for how long there has been no beat, up to the present one if there is one, in ms */
  silence(now: number): { readonly ms: number; readonly isOver: boolean } {
    const count = Atomics.load(this.#count, 0);
    const ms = now - this.#seenAt;
    if (count === this.#seen) return { ms, isOver: false };
    this.#seen = count;
    this.#seenAt = now;
    return { ms, isOver: true };
  }
}
