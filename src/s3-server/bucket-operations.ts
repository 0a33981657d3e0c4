/**
 * Operations on a bucket: is it there, where, and what is in it.
 */
import type { ObjectKey } from '../object-key.ts';
import { type Answer, emptyAnswer, xmlAnswer } from './answer.ts';
import type { Bucket } from './bucket.ts';
import { type ListingPage, listPage } from './list-objects.ts';
import type { Call } from './operation.ts';
import { encodeForListing } from './percent-encoding.ts';
import type { S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';
import { element, keyText, type XmlElement } from './xml.ts';

const MAX_PAGE_KEYS = 1000;

export function headBucket({ bucket, region }: Call): Answer {
  bucket();
  return emptyAnswer(200, { 'x-amz-bucket-region': region });
}

export function createBucket({ request, createBucket: create }: Call): Answer {
  create();
  return emptyAnswer(200, { location: `/${request.bucket}` });
}

/** The region that has no name in this answer is us-east-1. */
export function getBucketLocation({ bucket, region }: Call): Answer {
  bucket();
  return xmlAnswer('LocationConstraint', region === 'us-east-1' ? '' : region);
}

/** ListObjectsV2. */
export function listObjects({ request, bucket }: Call): Answer {
  const { query } = request;
  const encoding = query.get('encoding-type');
  if (encoding !== undefined && encoding !== 'url') {
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
  }
  const listed = bucket();
  const maxKeys = pageSize(query.get('max-keys'));
  const page = listPage(listed.keys(), {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    startAfter: query.get('start-after') ?? '',
    token: query.get('continuation-token'),
    maxKeys,
  });
  const show =
    encoding === 'url'
      ? (bytes: string) => encodeForListing(bytes)
      : (bytes: string) => keyText(bytes as ObjectKey);
  return xmlAnswer('ListBucketResult', [
    element('Name', request.bucket ?? ''),
    ...echoed(query, show),
    element('MaxKeys', maxKeys),
    element('KeyCount', page.keys.length + page.commonPrefixes.length),
    element('IsTruncated', page.nextToken !== undefined),
    ...(page.nextToken === undefined ? [] : [element('NextContinuationToken', page.nextToken)]),
    ...contents(page, listed, show),
    ...page.commonPrefixes.map((prefix) =>
      element('CommonPrefixes', [element('Prefix', show(prefix))]),
    ),
  ]);
}

function pageSize(maxKeys: string | undefined): number {
  if (maxKeys === undefined) return MAX_PAGE_KEYS;
  if (!/^\d{1,10}$/.test(maxKeys)) {
    throw new S3Error('InvalidArgument', 'Argument max-keys must be an integer from 0');
  }
  return Math.min(Number(maxKeys), MAX_PAGE_KEYS);
}

/** The parameters that the answer repeats; Prefix always, as AWS. */
function echoed(query: S3Request['query'], show: (bytes: string) => string): XmlElement[] {
  const elements = [element('Prefix', show(query.get('prefix') ?? ''))];
  const delimiter = query.get('delimiter');
  const startAfter = query.get('start-after');
  const token = query.get('continuation-token');
  const encoding = query.get('encoding-type');
  if (delimiter !== undefined) elements.push(element('Delimiter', show(delimiter)));
  if (startAfter !== undefined) elements.push(element('StartAfter', show(startAfter)));
  if (token !== undefined) elements.push(element('ContinuationToken', token));
  if (encoding !== undefined) elements.push(element('EncodingType', encoding));
  return elements;
}

function contents(
  page: ListingPage,
  bucket: Bucket,
  show: (bytes: string) => string,
): XmlElement[] {
  return page.keys.flatMap((key) => {
    const object = bucket.get(key);
    if (object === undefined) return [];
    return element('Contents', [
      element('Key', show(key)),
      element('LastModified', object.lastModified.toISOString()),
      element('ETag', `"${object.etag}"`),
      element('Size', object.body.length),
      element('StorageClass', object.headers['x-amz-storage-class'] ?? 'STANDARD'),
    ]);
  });
}
