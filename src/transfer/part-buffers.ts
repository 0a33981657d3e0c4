/**
 * Memory for parts, used again and again: a part of 16 MiB that is allocated anew costs more in page
 * faults than in copying, and what the collector has not come to yet would count against the host.
 *
 * How many are out at once is bounded by the memory budget, not here.
 */
export class PartBuffers {
  readonly #spare: Buffer[] = [];

  /** @returns exactly so many bytes, of any content; to be given back when no exchange uses them */
  take(bytes: number): Buffer {
    const spare = this.#spare.pop();
    // One that is too small is of another object's parts, and is let go.
    const buffer =
      spare !== undefined && spare.length >= bytes ? spare : Buffer.allocUnsafeSlow(bytes);
    return buffer.subarray(0, bytes);
  }

  giveBack(part: Buffer): void {
    this.#spare.push(Buffer.from(part.buffer));
  }
}
