/**
 * A body on its way from one exchange's answer into another exchange's request, buffer by buffer.
 *
 * The reader hands each piece over and waits until its memory may be used again, so a passage holds one
 * buffer and what is read is never ahead of what is sent. Either end may break off; the other is told.
 * A broken passage never looks like a short body: the request ends by a reset.
 */

/** Large enough that a system call moves many packets, small enough for thousands at once. */
export const PASSAGE_BUFFER_BYTES = 256 * 1024;

/** Where the bytes go. */
export interface PassageWriter {
  /**
   * Takes a piece over.
   *
   * @returns true when its memory may be used again at once; else {@link Passage.flushed} tells when
   */
  write(bytes: Buffer): boolean;
  /** The reader has broken off: what was written so far is worthless. */
  fail(reason: Error): void;
}

/** Where the bytes come from. */
export interface PassageReader {
  /** The memory of the last piece may be used again. */
  resume(): void;
  /** Nothing more is wanted. */
  stop(): void;
}

/** Buffers of passages that have ended, for the next ones. */
const spareBuffers: Buffer[] = [];
const MAX_SPARE_BUFFERS = 64;

export class Passage {
  /** Bytes that pass through, exactly. */
  readonly length: number;
  /** Which end broke it off first; undefined while it is sound. */
  brokenBy: 'reader' | 'writer' | undefined;
  #reader: PassageReader | undefined;
  #writer: PassageWriter | undefined;
  /** A piece that is not flushed yet, or that waits for the writer. */
  #pending: Buffer | undefined;
  #taken = 0;
  #buffer: Buffer | undefined;
  readonly #onBytes: (bytes: number) => void;

  /** @param onBytes - told of each piece that is read */
  constructor(length: number, onBytes: (bytes: number) => void) {
    this.length = length;
    this.#onBytes = onBytes;
  }

  /** Whether the writer waits for bytes: then it is not the one that is slow. */
  get hungry(): boolean {
    return this.#pending === undefined && this.#taken < this.length;
  }

  /** Whether the reader has to wait for the writer. */
  get full(): boolean {
    return this.#pending !== undefined;
  }

  /** What the reader may read into, as long as no piece of it is pending. */
  get buffer(): Buffer {
    this.#buffer ??= spareBuffers.pop() ?? Buffer.allocUnsafeSlow(PASSAGE_BUFFER_BYTES);
    return this.#buffer;
  }

  connectReader(reader: PassageReader): void {
    this.#reader = reader;
    if (this.brokenBy === 'writer') reader.stop();
  }

  connectWriter(writer: PassageWriter): void {
    this.#writer = writer;
    if (this.brokenBy === 'reader') {
      writer.fail(new Error('the source broke off'));
      return;
    }
    if (this.#pending !== undefined && writer.write(this.#pending)) this.flushed();
  }

  /**
   * Hands a piece over; at most `length` bytes in all.
   *
   * @returns false when the reader must not touch its memory, nor bring another, before `resume`
   */
  take(bytes: Buffer): boolean {
    this.#taken += bytes.length;
    this.#onBytes(bytes.length);
    if (this.brokenBy !== undefined) return true;
    if (this.#writer?.write(bytes) === true) {
      this.#endWhenWhole();
      return true;
    }
    this.#pending = bytes;
    return false;
  }

  /** The writer has sent the pending piece. */
  flushed(): void {
    if (this.#pending === undefined) return;
    this.#pending = undefined;
    this.#endWhenWhole();
    this.#reader?.resume();
  }

  /** The reader cannot bring the rest. */
  breakByReader(reason: Error): void {
    if (this.brokenBy !== undefined || this.#taken === this.length) return;
    this.brokenBy = 'reader';
    this.#writer?.fail(reason);
    this.#giveBufferBack();
  }

  /** The writer wants no more: it has failed, or was answered early. */
  breakByWriter(): void {
    if (this.brokenBy !== undefined) return;
    this.brokenBy = 'writer';
    this.#pending = undefined;
    this.#reader?.stop();
    this.#giveBufferBack();
  }

  #endWhenWhole(): void {
    if (this.#taken === this.length && this.#pending === undefined) this.#giveBufferBack();
  }

  /** Only a buffer that neither end touches any more: one that a socket may still send from is left to the collector. */
  #giveBufferBack(): void {
    if (this.#buffer === undefined) return;
    if (this.brokenBy === undefined && spareBuffers.length < MAX_SPARE_BUFFERS) {
      spareBuffers.push(this.#buffer);
    }
    this.#buffer = undefined;
  }
}
