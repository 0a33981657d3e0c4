/**
 * Which request headers belong to an object and come back with it, byte for byte.
 */
import { S3Error } from './s3-error.ts';

/** By lower-case name; values are byte strings. */
export type ObjectHeaders = Readonly<Record<string, string>>;

const KEPT = new Set([
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
  'x-amz-storage-class',
  'x-amz-website-redirect-location',
]);

const USER_METADATA = 'x-amz-meta-';

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html */
const MAX_USER_METADATA_BYTES = 2048;

/** @throws S3Error MetadataTooLarge */
export function objectHeaders(requestHeaders: ReadonlyMap<string, string>): ObjectHeaders {
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
  return withoutTransportEncoding(kept);
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
