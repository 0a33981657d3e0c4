/**
 * Which request headers belong to an object and come back with it, byte for byte.
 */
import { S3Error } from './s3-error.ts';

/** By lower-case name; values are byte strings. */
export type ObjectHeaders = Readonly<Record<string, string>>;

const LOCK_MODE = 'x-amz-object-lock-mode';
const LOCK_UNTIL = 'x-amz-object-lock-retain-until-date';
const REDIRECT = 'x-amz-website-redirect-location';
const STORAGE_CLASS = 'x-amz-storage-class';

const KEPT = new Set([
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
  'x-amz-object-lock-legal-hold',
  LOCK_MODE,
  LOCK_UNTIL,
  STORAGE_CLASS,
  REDIRECT,
]);

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html */
const STORAGE_CLASSES = new Set([
  'DEEP_ARCHIVE',
  'EXPRESS_ONEZONE',
  'GLACIER',
  'GLACIER_IR',
  'INTELLIGENT_TIERING',
  'ONEZONE_IA',
  'OUTPOSTS',
  'REDUCED_REDUNDANCY',
  'SNOW',
  'STANDARD',
  'STANDARD_IA',
]);

const USER_METADATA = 'x-amz-meta-';

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html */
const MAX_USER_METADATA_BYTES = 2048;

/** What a bucket takes. */
export interface HeaderRules {
  /** Whether it was created for object lock. */
  readonly objectLock: boolean;
  readonly nowMs: number;
}

/** @throws S3Error MetadataTooLarge, InvalidStorageClass, InvalidRedirectLocation; InvalidRequest or InvalidArgument for a lock */
export function objectHeaders(
  requestHeaders: ReadonlyMap<string, string>,
  rules: HeaderRules,
): ObjectHeaders {
  const kept: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  let userBytes = 0;
  for (const [name, value] of requestHeaders) {
    if (name.startsWith(USER_METADATA)) {
      userBytes += name.length - USER_METADATA.length + value.length;
    } else if (!KEPT.has(name)) {
      continue;
    }
    kept[name] = value;
  }
  if (userBytes > MAX_USER_METADATA_BYTES) throw new S3Error('MetadataTooLarge');
  checkRedirect(kept[REDIRECT]);
  checkLock(kept, rules);
  const storageClass = kept[STORAGE_CLASS];
  if (storageClass !== undefined && !STORAGE_CLASSES.has(storageClass)) {
    throw new S3Error('InvalidStorageClass');
  }
  // An answer does not name the class that an object has when none was given.
  if (storageClass === 'STANDARD') delete kept[STORAGE_CLASS];
  return withoutTransportEncoding(kept);
}

/** Whether a lock came with the object. */
export function isLocked(headers: ObjectHeaders): boolean {
  return Object.keys(headers).some((name) => name.startsWith('x-amz-object-lock-'));
}

function checkRedirect(location: string | undefined): void {
  if (location === undefined || /^(?:\/|https?:\/\/)/.test(location)) return;
  throw new S3Error('InvalidRedirectLocation');
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html */
function checkLock(
  kept: Readonly<Record<string, string>>,
  { objectLock, nowMs }: HeaderRules,
): void {
  const { [LOCK_MODE]: mode, [LOCK_UNTIL]: until } = kept;
  if (isLocked(kept) && !objectLock) {
    throw new S3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration');
  }
  if ((mode === undefined) !== (until === undefined)) {
    throw new S3Error('InvalidArgument', `${LOCK_UNTIL} and ${LOCK_MODE} must both be supplied`);
  }
  if (until !== undefined && !(Date.parse(until) > nowMs)) {
    throw new S3Error('InvalidArgument', 'The retain until date must be in the future!');
  }
}

/** `aws-chunked` says how the body travelled, not what it is. */
function withoutTransportEncoding(headers: Record<string, string>): ObjectHeaders {
  const { 'content-encoding': encoding, ...others } = headers;
  if (encoding === undefined) return headers;
  if (!/aws-chunked/i.test(encoding)) return headers;
  const codings = encoding.split(',').filter((coding) => !/^\s*aws-chunked\s*$/i.test(coding));
  return codings.length === 0
    ? others
    : { ...others, 'content-encoding': codings.join(',').trim() };
}
