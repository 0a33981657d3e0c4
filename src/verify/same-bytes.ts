/**
 * Two contents that arrive piece by piece, compared as they come: nothing is hashed, and nothing held but
 * the piece of each that waits for the other.
 *
 * The side that is ahead is held back. The first byte that differs ends both.
 */
import { Passage } from '../wire/passage.ts';

export class SameBytes {
  readonly #sides: readonly [Arriving, Arriving];
  readonly #onBytes: (bytes: number) => void;
  #compared = 0;
  #differs = false;

  /** @param onBytes told of each stretch that is the same on both sides */
  constructor(onBytes: (bytes: number) => void) {
    this.#sides = [new Arriving(), new Arriving()];
    this.#onBytes = onBytes;
  }

  /** Bytes from the beginning on that are the same. */
  get compared(): number {
    return this.#compared;
  }

  /** Whether the byte after them is not. */
  get differs(): boolean {
    return this.#differs;
  }

  /** Takes one side's content. */
  passage(side: 0 | 1, bytes: number): Passage {
    const arriving = this.#sides[side];
    const passage = new Passage(bytes, () => {});
    arriving.passage = passage;
    passage.connectWriter({
      write: (piece) => this.#take(arriving, this.#sides[side === 0 ? 1 : 0], piece),
      fail: () => this.end(),
    });
    return passage;
  }

  /** No more is wanted of either side. */
  end(): void {
    for (const { passage } of this.#sides) passage?.breakByWriter();
  }

  #take(own: Arriving, other: Arriving, piece: Buffer): boolean {
    own.waiting = piece;
    const bytes = Math.min(piece.length, other.waiting.length);
    if (bytes === 0) return false;
    const ours = piece.subarray(0, bytes);
    const theirs = other.waiting.subarray(0, bytes);
    if (!ours.equals(theirs)) {
      this.#compared += firstDifference(ours, theirs);
      this.#differs = true;
      this.end();
      return true;
    }
    this.#compared += bytes;
    this.#onBytes(bytes);
    own.waiting = piece.subarray(bytes);
    other.waiting = other.waiting.subarray(bytes);
    if (other.waiting.length === 0) other.passage?.flushed();
    return own.waiting.length === 0;
  }
}

class Arriving {
  passage: Passage | undefined;
  /** What of the last piece the other side has not come to yet. */
  waiting: Buffer = Buffer.alloc(0);
}

function firstDifference(a: Buffer, b: Buffer): number {
  return a.findIndex((byte, index) => byte !== b[index]);
}
