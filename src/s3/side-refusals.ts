/**
 * Refusals that are about a whole side and not about one object: what stores call them.
 *
 * Whoever meets one asks here what it means; whoever counts them over many objects does too.
 */

/** What a store has said. */
export interface Refusal {
  readonly code: string;
  readonly status: number;
  readonly message: string;
}

/** What a refusal says about all requests to its side. */
export type SideRefusal =
  /** The credentials were good and are no more: every further request with them is refused as well. */
  | 'expired'
  /** These credentials may not do this; perhaps only with this object. */
  | 'denied'
  /** There is no room. */
  | 'full';

/** https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; the last two are MinIO's and the STS's. */
const EXPIRED: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'TokenRefreshRequired',
  'InvalidToken',
  'InvalidTokenId',
  'InvalidClientTokenId',
]);

/** Besides whatever has status 401 or 403. */
const DENIED: ReadonlySet<string> = new Set([
  'AccessDenied',
  'InvalidAccessKeyId',
  'RequestExpired',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
  // The answer to a HEAD has no code. Amazon gives 400 to one whose token has expired.
  'HTTP 400',
]);

/** These have status 403, and are about the object alone. */
const OF_THE_OBJECT: ReadonlySet<string> = new Set(['InvalidObjectState', 'ObjectLocked']);

/** Amazon's, Ceph's, MinIO's, Backblaze's; besides whatever has status 507. */
const FULL: ReadonlySet<string> = new Set([
  'QuotaExceeded',
  'StorageQuotaExceeded',
  'XMinioAdminBucketQuotaExceeded',
  'XMinioStorageFull',
  'InsufficientCapacity',
  'InsufficientStorage',
  'InsufficientStorageSpace',
  'StorageFull',
  'DiskFull',
  'NoSpaceLeft',
  'NoSpaceLeftOnDevice',
  'ENOSPC',
  'EDQUOT',
  'StorageCapExceeded',
  'cap_exceeded',
]);

/** What stores over a file system put into an InternalError. */
const NO_SPACE = /no space left on device|disk quota exceeded|\bE(?:NOSPC|DQUOT)\b/i;

/** @returns undefined for what is about the one request alone */
export function sideRefusal({ code, status, message }: Refusal): SideRefusal | undefined {
  if (FULL.has(code) || status === 507 || (status >= 500 && NO_SPACE.test(message))) return 'full';
  if (EXPIRED.has(code)) return 'expired';
  if (OF_THE_OBJECT.has(code)) return undefined;
  return status === 401 || status === 403 || DENIED.has(code) ? 'denied' : undefined;
}

/** What other credentials may change: an access key may have been replaced, and not only a token. */
const REPLACED: ReadonlySet<string> = new Set(['InvalidAccessKeyId', 'SignatureDoesNotMatch']);

/** Whether a refusal may be due to credentials that have been replaced. One without a code may. */
export function mayBeOutdated(refusal: Refusal): boolean {
  const { code, status } = refusal;
  if (sideRefusal(refusal) === 'expired' || REPLACED.has(code)) return true;
  return code === `HTTP ${status}` && (status === 400 || status === 401 || status === 403);
}
