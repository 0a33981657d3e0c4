/**
 * What ListParts and ListMultipartUploads are asked, and what a page of their answers says.
 *
 * An answer that cannot be understood, or whose pages would go round in circles, is none: what is decided by
 * them is which bytes are sent again and which uploads are aborted.
 */
import type { ObjectKey } from '../object-key.ts';
import { keyFromText } from '../object-key.ts';
import type { ListedPart, ListedUpload } from './object-store.ts';
import { elementText, innerXml } from './xml.ts';

/** Most bytes of one page; what {@link PARTS_A_PAGE} parts or {@link UPLOADS_A_PAGE} uploads take, several times over. */
export const MAX_LISTING_BYTES = 2 * 1024 ** 2;
/** S3's own most. */
const PARTS_A_PAGE = 1000;
/** Each may have a key of 1,024 bytes, percent-encoded. */
const UPLOADS_A_PAGE = 100;

type Query = readonly (readonly [name: string, value: string])[];

/** A page, and where the next one begins; undefined on the last one. */
export interface ListingPage<T, Marker> {
  readonly entries: readonly T[];
  readonly next: Marker | undefined;
}

/** @param after - number of the last part of the page before; 0 for the first page */
export function partsQuery(uploadId: string, after: number): Query {
  return [
    ['uploadId', bytesOf(uploadId)],
    ['max-parts', String(PARTS_A_PAGE)],
    ...(after === 0 ? [] : [['part-number-marker', String(after)] as const]),
  ];
}

/**
 * @param after - as for {@link partsQuery}
 * @returns undefined when it is no page of parts that come after it
 */
export function partsPage(xml: string, after: number): ListingPage<ListedPart, number> | undefined {
  if (!xml.includes('<ListPartsResult')) return undefined;
  const entries: ListedPart[] = [];
  for (const part of innerXml(xml, 'Part')) {
    const partNumber = wholeNumber(elementText(part, 'PartNumber'));
    const bytes = wholeNumber(elementText(part, 'Size'));
    const etag = elementText(part, 'ETag');
    if (partNumber === undefined || bytes === undefined || etag === undefined) return undefined;
    entries.push({ partNumber, bytes, etag: unquoted(etag) });
  }
  if (elementText(xml, 'IsTruncated') !== 'true') return { entries, next: undefined };
  const next = wholeNumber(elementText(xml, 'NextPartNumberMarker'));
  return next !== undefined && next > after ? { entries, next } : undefined;
}

/** Where a page of uploads ended. */
export interface UploadsMarker {
  readonly key: ObjectKey;
  readonly uploadId: string;
}

/** @param key - of the uploads that are looked for; those of keys that only begin with it are listed after them */
export function uploadsQuery(key: ObjectKey, after: UploadsMarker | undefined): Query {
  return [
    ['uploads', ''],
    ['prefix', key],
    ['max-uploads', String(UPLOADS_A_PAGE)],
    ['encoding-type', 'url'],
    ...(after === undefined
      ? []
      : ([
          ['key-marker', after.key],
          ['upload-id-marker', bytesOf(after.uploadId)],
        ] as const)),
  ];
}

/**
 * Uploads of this key alone.
 *
 * @param after - as for {@link uploadsQuery}
 * @returns undefined when it is no page of uploads, or begins again where the one before did
 */
export function uploadsPage(
  xml: string,
  key: ObjectKey,
  after: UploadsMarker | undefined,
): ListingPage<ListedUpload, UploadsMarker> | undefined {
  if (!xml.includes('<ListMultipartUploadsResult')) return undefined;
  const decode = elementText(xml, 'EncodingType') === 'url' ? decoded : keyFromText;
  const entries: ListedUpload[] = [];
  for (const upload of innerXml(xml, 'Upload')) {
    const named = elementText(upload, 'Key');
    const uploadId = elementText(upload, 'UploadId');
    const initiatedAt = Date.parse(elementText(upload, 'Initiated') ?? '');
    if (named === undefined || uploadId === undefined || Number.isNaN(initiatedAt)) {
      return undefined;
    }
    if (decode(named) === key) entries.push({ uploadId, initiatedAt });
  }
  if (elementText(xml, 'IsTruncated') !== 'true') return { entries, next: undefined };
  const nextKey = elementText(xml, 'NextKeyMarker');
  if (nextKey === undefined) return undefined;
  const next = {
    key: decode(nextKey),
    uploadId: elementText(xml, 'NextUploadIdMarker') ?? '',
  };
  // In key order: what is listed from here on only begins with the key.
  if (next.key > key) return { entries, next: undefined };
  const stands = next.key === after?.key && next.uploadId === after.uploadId;
  return stands ? undefined : { entries, next };
}

/** As `encoding-type=url` has keys: a space is `+`, `%HH` any byte. */
function decoded(encoded: string): ObjectKey {
  return keyFromText(encoded.replaceAll('+', ' ')).replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  ) as ObjectKey;
}

function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

function unquoted(etag: string): string {
  return etag.startsWith('"') && etag.endsWith('"') ? etag.slice(1, -1) : etag;
}
