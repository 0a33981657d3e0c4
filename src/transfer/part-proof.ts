/**
 * How it is known that a destination has the bytes of a part that was sent to it.
 */
import type { PartDigest } from '../s3/object-store.ts';

export type PartProof =
  /** It was seen to refuse a part whose CRC32 is wrong. */
  | 'crc32'
  /** It was seen to refuse a part whose Content-MD5 is wrong, or is trusted to do so. */
  | 'md5'
  /** It was seen to give the MD5 of a part as the part's ETag, and that is compared. */
  | 'etag'
  /** It was seen to keep what fits neither digest. Only the length tells. */
  | 'none';

/** What parts are sent with. Where nothing is checked, what costs least. */
export function algorithmOf(proof: PartProof): PartDigest['algorithm'] {
  return proof === 'md5' || proof === 'etag' ? 'md5' : 'crc32';
}
