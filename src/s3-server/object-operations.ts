/**
 * Operations on one object: read, write, delete.
 */
import { type Answer, EMPTY, emptyAnswer } from './answer.ts';
import type { StoredObject } from './bucket.ts';
import { type ByteRange, parseRange } from './byte-range.ts';
import { checkRead, conditionOf } from './conditions.ts';
import { isLocked, type ObjectHeaders, objectHeaders } from './object-headers.ts';
import type { Call } from './operation.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import { tagsFromHeader } from './tagging.ts';

/** GetObject and HeadObject: the server leaves the body of a HEAD unsent. */
export function readObject({ request, bucket }: Call): Answer {
  const object = bucket().get(request.key);
  if (object === undefined) throw new S3Error('NoSuchKey');
  if (checkRead(object, conditionOf(request.headers)) === 'not-modified') {
    return emptyAnswer(304, { etag: `"${object.etag}"` });
  }
  const headers = describeObject(object, request);
  const range = selectedRange(object, request);
  if (range === undefined) return { status: 200, headers, body: object.body };
  return {
    status: 206,
    headers: {
      ...headers,
      'content-range': `bytes ${range.start}-${range.end - 1}/${object.body.length}`,
    },
    body: object.body.subarray(range.start, range.end),
  };
}

function describeObject(object: StoredObject, request: S3Request): Record<string, string> {
  const wantsChecksum =
    request.headers.get('x-amz-checksum-mode') === 'ENABLED' &&
    !request.headers.has('range') &&
    !request.query.has('partNumber');
  return {
    ...object.headers,
    ...(wantsChecksum ? object.checksums : {}),
    ...(object.tags.size > 0 ? { 'x-amz-tagging-count': String(object.tags.size) } : {}),
    ...(request.query.has('partNumber') && object.parts.length > 0
      ? { 'x-amz-mp-parts-count': String(object.parts.length) }
      : {}),
    'accept-ranges': 'bytes',
    etag: `"${object.etag}"`,
    'last-modified': object.lastModified.toUTCString(),
  };
}

/** @returns undefined for the whole object with status 200 */
function selectedRange(object: StoredObject, request: S3Request): ByteRange | undefined {
  const partNumber = request.query.get('partNumber');
  const range = request.headers.get('range');
  if (partNumber === undefined) return parseRange(range, object.body.length);
  if (range !== undefined) {
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber');
  }
  const { start, end } = partRange(object, partNumber);
  // Content-Range has no form for an empty part.
  return start === end ? undefined : { start, end };
}

function partRange(object: StoredObject, partNumber: string): ByteRange {
  const parts = object.parts.length > 0 ? object.parts : [{ number: 1, bytes: object.body.length }];
  let start = 0;
  for (const { number, bytes } of parts) {
    if (String(number) === partNumber) return { start, end: start + bytes };
    start += bytes;
  }
  throw new S3Error('InvalidPartNumber');
}

export function putObject({ request, payload, bucket }: Call): Answer {
  const headers = objectHeaders(request.headers, bucket().headerRules);
  checkLockedContent(headers, request);
  const { etag } = bucket().put(
    request.key,
    {
      body: payload.body,
      headers,
      tags: tagsFromHeader(request.headers.get('x-amz-tagging')),
      checksums: payload.checksums,
    },
    conditionOf(request.headers),
  );
  return { status: 200, headers: { ...payload.checksums, etag: `"${etag}"` }, body: EMPTY };
}

/** Under a lock S3 wants a digest of what can then not be replaced for so long. */
function checkLockedContent(headers: ObjectHeaders, request: S3Request): void {
  if (!isLocked(headers)) return;
  const hasDigest = [...request.headers.keys()].some(
    (name) => name === 'content-md5' || name.startsWith('x-amz-checksum-'),
  );
  if (hasDigest) return;
  throw new S3Error(
    'InvalidRequest',
    'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
  );
}

export function deleteObject({ request, bucket }: Call): Answer {
  bucket().delete(request.key, conditionOf(request.headers));
  return emptyAnswer(204);
}
