/**
 * Memory for parts, used again and again: a part of 16 MiB that is allocated anew costs more in page
 * faults than in copying, and what the collector has not come to yet would count against the host.
 *
 * How many are out at once is bounded by the memory budget, not here. What is kept besides never makes
 * them more in all than were out at one time, and is let go when no part has been copied for a while.
 */

/** Lengths are rounded up to it, so that the last parts of different objects fit the same buffers. */
const STEP_BYTES = 1024 ** 2;
/** How long buffers are kept when none of them is in use, in ms. */
const KEEP_IDLE_MS = 5_000;

export class PartBuffers {
  /** The one given back last is at the end. */
  readonly #spare: Buffer[] = [];
  #spareBytes = 0;
  #outBytes = 0;
  #mostOutBytes = 0;
  #letGo: NodeJS.Timeout | undefined;

  /** @returns exactly so many bytes, of any content; to be given back when no exchange uses them */
  take(bytes: number): Buffer {
    clearTimeout(this.#letGo);
    const length = Math.max(1, Math.ceil(bytes / STEP_BYTES)) * STEP_BYTES;
    const buffer = this.#takeSpare(length) ?? this.#allocate(length);
    this.#outBytes += length;
    this.#mostOutBytes = Math.max(this.#mostOutBytes, this.#outBytes);
    return buffer.subarray(0, bytes);
  }

  giveBack(part: Buffer): void {
    const buffer = Buffer.from(part.buffer);
    this.#outBytes -= buffer.length;
    this.#spareBytes += buffer.length;
    this.#spare.push(buffer);
    if (this.#outBytes > 0) return;
    this.#letGo = setTimeout(() => {
      this.#mostOutBytes = 0;
      this.#shrinkTo(0);
    }, KEEP_IDLE_MS);
    this.#letGo.unref();
  }

  #takeSpare(length: number): Buffer | undefined {
    const index = this.#spare.findLastIndex((buffer) => buffer.length === length);
    if (index < 0) return undefined;
    this.#spareBytes -= length;
    return this.#spare.splice(index, 1)[0];
  }

  #allocate(length: number): Buffer {
    this.#shrinkTo(this.#mostOutBytes - this.#outBytes - length);
    return Buffer.allocUnsafeSlow(length);
  }

  /** Lets go of what was not used for longest. */
  #shrinkTo(bytes: number): void {
    while (this.#spare.length > 0 && this.#spareBytes > bytes) {
      this.#spareBytes -= this.#spare.shift()?.length ?? 0;
    }
  }
}
