/**
 * HMAC-SHA256 (RFC 2104) of one key over many short texts.
 *
 * Of two one-shot hashes: `createHmac` takes twice as long for a text as short as what is signed, and two
 * are signed for each object.
 */
import { hash } from 'node:crypto';

const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

export class HmacSha256 {
  /** The padded key, and room for what is hashed after it. */
  #inner: Buffer;
  readonly #outer: Buffer;

  constructor(key: Buffer) {
    const block = Buffer.alloc(BLOCK_BYTES);
    (key.length > BLOCK_BYTES ? hash('sha256', key, 'buffer') : key).copy(block);
    this.#inner = Buffer.from(block.map((byte) => byte ^ INNER_PAD));
    this.#outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES);
    this.#outer.set(block.map((byte) => byte ^ OUTER_PAD));
  }

  /** @param text a byte string */
  hex(text: string): string {
    const length = BLOCK_BYTES + text.length;
    if (this.#inner.length < length) {
      this.#inner = Buffer.concat([
        this.#inner.subarray(0, BLOCK_BYTES),
        Buffer.alloc(text.length),
      ]);
    }
    this.#inner.write(text, BLOCK_BYTES, 'latin1');
    const inner = hash('sha256', this.#inner.subarray(0, length), 'binary');
    this.#outer.write(inner, BLOCK_BYTES, 'latin1');
    return hash('sha256', this.#outer, 'hex');
  }
}
