/**
 * The digests of contents as S3 writes them: MD5 in hex for ETags and in base64 for Content-MD5, CRC32 in
 * base64.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { PartDigest } from '../s3/object-store.ts';

export function md5Base64(bytes: Buffer): string {
  return hash('md5', bytes, 'base64');
}

export function hexToBase64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

export function base64ToHex(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

/** CRC32 costs an eighth of MD5. */
export function digestOf(algorithm: PartDigest['algorithm'], bytes: Buffer): PartDigest {
  return { algorithm, base64: algorithm === 'md5' ? md5Base64(bytes) : crcBase64(crc32(bytes)) };
}

/** The digest of content that comes in pieces. */
export class RunningDigest {
  readonly #algorithm: PartDigest['algorithm'];
  readonly #md5: Hash | undefined;
  #crc = 0;

  constructor(algorithm: PartDigest['algorithm']) {
    this.#algorithm = algorithm;
    this.#md5 = algorithm === 'md5' ? createHash('md5') : undefined;
  }

  /** Uses the piece before it returns. */
  update(piece: Buffer): void {
    if (this.#md5 === undefined) this.#crc = crc32(piece, this.#crc);
    else this.#md5.update(piece);
  }

  /** To be called once, at the end. */
  take(): PartDigest {
    const base64 = this.#md5 === undefined ? crcBase64(this.#crc) : this.#md5.digest('base64');
    return { algorithm: this.#algorithm, base64 };
  }
}

function crcBase64(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

/**
 * The ETag of a multipart object where the ETags of its parts are MD5s: the MD5 of those, and how many there
 * are. Of others it is one that no object has.
 */
export function multipartEtag(partEtags: readonly string[]): string {
  return `${hash('md5', Buffer.from(partEtags.join(''), 'hex'), 'hex')}-${partEtags.length}`;
}

/** The CRC32 of a multipart object: that of its parts' CRC32s, in base64, and how many there are. */
export function compositeCrc32(partCrcs: readonly string[]): string {
  const joined = Buffer.concat(partCrcs.map((base64) => Buffer.from(base64, 'base64')));
  return `${crcBase64(crc32(joined))}-${partCrcs.length}`;
}
