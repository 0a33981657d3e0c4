/**
 * What two ETags tell about two contents of one length.
 */
import type { ObjectHead } from '../s3/object-store.ts';

/**
 * ETags are compared where both are made of the content in the same way: as its MD5, or from as many parts.
 * Not between an MD5 and one of parts, other numbers of parts, or where encryption has its part in them.
 */
export function compareEtags(
  source: ObjectHead,
  destination: ObjectHead,
): 'same' | 'different' | 'incomparable' {
  const comparable =
    (source.etagMayBeMd5 && destination.etagMayBeMd5) ||
    (source.etagParts !== undefined && source.etagParts === destination.etagParts);
  if (!comparable) return 'incomparable';
  return source.etag.toLowerCase() === destination.etag.toLowerCase() ? 'same' : 'different';
}
