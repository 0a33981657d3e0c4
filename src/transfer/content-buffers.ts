/**
 * Memory for the content of small objects, used again and again: allocating it anew for each would be
 * a tenth of what copying it costs.
 *
 * How much is out at once is bounded by the memory budget; what lies here unused, by this.
 */
import { CollectedBody } from '../wire/collected-body.ts';

/** Smallest piece; others are twice as long each. */
const SMALLEST_BYTES = 4096;
/** Longer content gets memory of its own length: in powers of two too much of it would lie idle. */
const MAX_REUSED_BYTES = 512 * 1024;
/** Unused bytes that are kept. */
const MAX_SPARE_BYTES = 16 * 1024 ** 2;

export class ContentBuffers {
  /** By the power of two of {@link SMALLEST_BYTES} that they have. */
  readonly #spare: Buffer[][] = [];
  #spareBytes = 0;

  /** @returns of any content; to be given back when no exchange uses it */
  take(bytes: number): CollectedBody {
    const needed = CollectedBody.memoryFor(bytes);
    if (needed > MAX_REUSED_BYTES) return new CollectedBody(Buffer.allocUnsafeSlow(needed), bytes);
    const size = sizeFor(needed);
    const spare = this.#spare[size]?.pop();
    if (spare !== undefined) this.#spareBytes -= spare.length;
    return new CollectedBody(spare ?? Buffer.allocUnsafeSlow(SMALLEST_BYTES * 2 ** size), bytes);
  }

  giveBack({ memory }: CollectedBody): void {
    if (memory.length > MAX_REUSED_BYTES) return;
    if (this.#spareBytes + memory.length > MAX_SPARE_BYTES) return;
    this.#spareBytes += memory.length;
    (this.#spare[sizeFor(memory.length)] ??= []).push(memory);
  }
}

function sizeFor(bytes: number): number {
  return Math.max(0, Math.ceil(Math.log2(bytes / SMALLEST_BYTES)));
}
