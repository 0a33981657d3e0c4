/**
 * Decodes a chunked body (RFC 9112, section 7.1) as its bytes arrive, cut anywhere.
 */
import { MalformedAnswer } from './response-head.ts';

/** Longest line inside the framing: a chunk size with its extensions, or a trailer. */
const MAX_LINE_BYTES = 8 * 1024;
const MAX_TRAILER_BYTES = 32 * 1024;

type State = 'size' | 'data' | 'data-end' | 'trailer' | 'done';

export class ChunkedBody {
  #state: State = 'size';
  /** The unfinished line of the framing, as a byte string. */
  #line = '';
  #remaining = 0;
  #trailerBytes = 0;

  get done(): boolean {
    return this.#state === 'done';
  }

  /**
   * Takes arrived bytes; gives `deliver` the content among them as views of `bytes`.
   *
   * @returns how many bytes belong to this body: fewer than given once it is done
   * @throws MalformedAnswer
   */
  take(bytes: Buffer, deliver: (content: Buffer) => void): number {
    let at = 0;
    while (at < bytes.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const end = Math.min(bytes.length, at + this.#remaining);
        deliver(bytes.subarray(at, end));
        this.#remaining -= end - at;
        at = end;
        if (this.#remaining === 0) this.#state = 'data-end';
        continue;
      }
      const lineFeed = bytes.indexOf(0x0a, at);
      const end = lineFeed < 0 ? bytes.length : lineFeed;
      this.#line += bytes.toString('latin1', at, end);
      if (this.#line.length > MAX_LINE_BYTES) throw new MalformedAnswer('an endless chunk header');
      if (lineFeed < 0) return bytes.length;
      at = lineFeed + 1;
      if (!this.#line.endsWith('\r')) throw new MalformedAnswer('a chunk header without CR LF');
      this.#endLine(this.#line.slice(0, -1));
      this.#line = '';
    }
    return at;
  }

  #endLine(line: string): void {
    switch (this.#state) {
      case 'size': {
        const size = /^([0-9A-Fa-f]{1,13})[ \t]*(?:;.*)?$/.exec(line)?.[1];
        if (size === undefined) throw new MalformedAnswer('a malformed chunk size');
        this.#remaining = Number.parseInt(size, 16);
        this.#state = this.#remaining === 0 ? 'trailer' : 'data';
        return;
      }
      case 'data-end':
        if (line !== '') throw new MalformedAnswer('a chunk longer than its size');
        this.#state = 'size';
        return;
      case 'trailer':
        this.#trailerBytes += line.length;
        if (this.#trailerBytes > MAX_TRAILER_BYTES) throw new MalformedAnswer('endless trailers');
        if (line === '') this.#state = 'done';
        return;
      case 'data':
      case 'done':
        throw new Error(`no line is expected in state ${this.#state}`);
    }
  }
}
