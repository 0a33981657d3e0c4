/**
 * Which digest goes along with a part.
 */
import type { PartProof } from '../../domain.ts';
import type { PartDigest } from '../../s3/object-store.ts';

/** What parts are sent with. Where nothing is checked, what costs least. */
export function algorithmOf(proof: PartProof): PartDigest['algorithm'] {
  return proof === 'md5' || proof === 'etag' ? 'md5' : 'crc32';
}
