/**
 * Content that is collected in memory to be sent on, with room before it for the head of that request:
 * both go out in one piece, and none of it is copied again.
 */

/** Longer heads go out on their own: S3 takes 8 KB of headers, but objects with 1 KB of metadata are rare. */
const HEAD_ROOM_BYTES = 2048;

export class CollectedBody {
  readonly #memory: Buffer;
  readonly content: Buffer;

  /** @param memory - at least {@link memoryFor} `bytes`; not to be used by anyone else while this is */
  constructor(memory: Buffer, bytes: number) {
    this.#memory = memory;
    this.content = memory.subarray(HEAD_ROOM_BYTES, HEAD_ROOM_BYTES + bytes);
  }

  /** Bytes of memory that so many bytes of content need. */
  static memoryFor(bytes: number): number {
    return HEAD_ROOM_BYTES + bytes;
  }

  get length(): number {
    return this.content.length;
  }

  get memory(): Buffer {
    return this.#memory;
  }

  /**
   * The content with `head` before it.
   *
   * @param head a byte string
   * @returns undefined when the head is too long for the room there is
   */
  withHead(head: string): Buffer | undefined {
    const start = HEAD_ROOM_BYTES - head.length;
    if (start < 0) return undefined;
    this.#memory.write(head, start, 'latin1');
    return this.#memory.subarray(start, HEAD_ROOM_BYTES + this.content.length);
  }
}
