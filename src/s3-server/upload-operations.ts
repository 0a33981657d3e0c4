/**
 * Operations on multipart uploads.
 */
import { type Answer, EMPTY, emptyAnswer, xmlAnswer } from './answer.ts';
import type { CompletedPart, Upload } from './bucket.ts';
import {
  CHECKSUMS,
  type ChecksumName,
  checksumElement,
  checksumHeader,
  checksumOfAlgorithm,
} from './checksums.ts';
import { conditionOf } from './conditions.ts';
import { objectHeaders } from './object-headers.ts';
import type { Call } from './operation.ts';
import { encodeForListing } from './percent-encoding.ts';
import { S3Error } from './s3-error.ts';
import { tagsFromHeader } from './tagging.ts';
import { element, innerText, innerXml, keyText } from './xml.ts';

const MAX_PART_NUMBER = 10_000;
/** Entries of one answer of ListParts and ListMultipartUploads. */
const MAX_PAGE_ENTRIES = 1000;

export function createMultipartUpload({ request, bucket }: Call): Answer {
  const algorithm = request.headers.get('x-amz-checksum-algorithm');
  const checksum = algorithm === undefined ? undefined : checksumOfAlgorithm(algorithm);
  if (algorithm !== undefined && checksum === undefined) {
    throw new S3Error('InvalidRequest', 'Checksum algorithm provided is unsupported.');
  }
  const uploadId = bucket().createUpload(request.key, {
    headers: objectHeaders(request.headers, bucket().headerRules),
    tags: tagsFromHeader(request.headers.get('x-amz-tagging')),
    checksum,
  });
  return xmlAnswer('InitiateMultipartUploadResult', [
    element('Bucket', request.bucket ?? ''),
    element('Key', keyText(request.key)),
    element('UploadId', uploadId),
  ]);
}

export function uploadPart(call: Call): Answer {
  const number = Number(call.request.query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > MAX_PART_NUMBER) {
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000');
  }
  const { etag } = call.bucket().putPart(uploadOf(call), number, call.payload);
  return {
    status: 200,
    headers: { ...call.payload.checksums, etag: `"${etag}"` },
    body: EMPTY,
  };
}

export function listParts(call: Call): Answer {
  const { request } = call;
  const upload = uploadOf(call);
  const marker = Number(request.query.get('part-number-marker') ?? 0);
  const later = [...upload.parts]
    .filter(([number]) => number > marker)
    .toSorted(([a], [b]) => a - b);
  const page = later.slice(0, pageEntries(request.query.get('max-parts')));
  return xmlAnswer('ListPartsResult', [
    element('Bucket', request.bucket ?? ''),
    element('Key', keyText(request.key)),
    element('UploadId', upload.uploadId),
    element('PartNumberMarker', marker),
    element('NextPartNumberMarker', page.at(-1)?.[0] ?? 0),
    element('IsTruncated', page.length < later.length),
    ...page.map(([number, part]) =>
      element('Part', [
        element('PartNumber', number),
        element('LastModified', part.lastModified.toISOString()),
        element('ETag', `"${part.etag}"`),
        element('Size', part.body.length),
      ]),
    ),
  ]);
}

/** Pages end between uploads: the markers are the key and the id of the last. */
export function listMultipartUploads({ request, bucket }: Call): Answer {
  const { query } = request;
  const isEncoded = query.get('encoding-type') === 'url';
  const show = isEncoded ? encodeForListing : keyText;
  const all = bucket()
    .uploads()
    .filter(({ key }) => key.startsWith(query.get('prefix') ?? ''));
  const later = all.slice(uploadsBefore(all, query));
  const page = later.slice(0, pageEntries(query.get('max-uploads')));
  const last = page.at(-1);
  const isTruncated = page.length < later.length;
  return xmlAnswer('ListMultipartUploadsResult', [
    element('Bucket', request.bucket ?? ''),
    element('IsTruncated', isTruncated),
    ...(isEncoded ? [element('EncodingType', 'url')] : []),
    ...(isTruncated && last !== undefined
      ? [element('NextKeyMarker', show(last.key)), element('NextUploadIdMarker', last.uploadId)]
      : []),
    ...page.map(({ key, uploadId, initiated }) =>
      element('Upload', [
        element('Key', show(key)),
        element('UploadId', uploadId),
        element('Initiated', initiated.toISOString()),
      ]),
    ),
  ]);
}

/** How many uploads the markers say were shown already. */
function uploadsBefore(uploads: readonly Upload[], query: ReadonlyMap<string, string>): number {
  const keyMarker = query.get('key-marker') ?? '';
  const shown = uploads.findIndex(({ uploadId }) => uploadId === query.get('upload-id-marker'));
  if (shown >= 0) return shown + 1;
  return uploads.filter(({ key }) => keyMarker !== '' && key <= keyMarker).length;
}

function pageEntries(maximum: string | undefined): number {
  const entries = Number(maximum ?? MAX_PAGE_ENTRIES);
  if (!Number.isInteger(entries) || entries < 0) throw new S3Error('InvalidArgument');
  return Math.min(entries, MAX_PAGE_ENTRIES);
}

export function completeMultipartUpload(call: Call): Answer {
  const { request } = call;
  const { etag, checksums } = call
    .bucket()
    .completeUpload(
      uploadOf(call),
      completedParts(call.payload.body.toString('utf8')),
      conditionOf(request.headers),
    );
  return xmlAnswer('CompleteMultipartUploadResult', [
    element('Location', request.rawPath),
    element('Bucket', request.bucket ?? ''),
    element('Key', keyText(request.key)),
    element('ETag', `"${etag}"`),
    ...CHECKSUM_NAMES.flatMap((name) => {
      const checksum = checksums[checksumHeader(name)];
      return checksum === undefined ? [] : [element(checksumElement(name), checksum)];
    }),
  ]);
}

const CHECKSUM_NAMES = Object.keys(CHECKSUMS) as ChecksumName[];

function completedParts(document: string): CompletedPart[] {
  const parts = innerXml(document, 'Part').map((part) => {
    const number = Number(innerText(part, 'PartNumber'));
    const etag = innerText(part, 'ETag')
      ?.trim()
      .replace(/^"(.*)"$/, '$1');
    if (!Number.isInteger(number) || etag === undefined) throw new S3Error('MalformedXML');
    return { number, etag, checksums: checksumsNamed(part) };
  });
  if (parts.length === 0) throw new S3Error('MalformedXML');
  return parts;
}

function checksumsNamed(part: string): CompletedPart['checksums'] {
  return Object.fromEntries(
    CHECKSUM_NAMES.map((name) => [
      checksumHeader(name),
      innerText(part, checksumElement(name))?.trim(),
    ]),
  );
}

export function abortMultipartUpload(call: Call): Answer {
  call.bucket().abortUpload(uploadOf(call));
  return emptyAnswer(204);
}

function uploadOf({ request, bucket }: Call): Upload {
  return bucket().upload(request.query.get('uploadId') ?? '', request.key);
}
