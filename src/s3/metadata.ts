/**
 * What belongs to an object besides its bytes, as the head of an answer tells it: the headers that travel
 * with it byte for byte, and what S3 keeps of it beyond those.
 */
import type { ResponseHeaders } from '../wire/response-head.ts';
import type { Header } from '../wire/signature.ts';

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html */
export const WEBSITE_REDIRECT = 'x-amz-website-redirect-location';
export const STORAGE_CLASS = 'x-amz-storage-class';
/** As a query string: `name=value&name=value`. */
export const TAGGING = 'x-amz-tagging';
/** Of object lock: mode and date of a retention, and the legal hold. */
export const LOCK = {
  mode: 'x-amz-object-lock-mode',
  until: 'x-amz-object-lock-retain-until-date',
  hold: 'x-amz-object-lock-legal-hold',
} as const;

const LOCK_NAMES = Object.values(LOCK);

const COPIED = new Set([
  'content-type',
  'cache-control',
  'content-disposition',
  'content-language',
  'expires',
  WEBSITE_REDIRECT,
]);
const USER_METADATA = 'x-amz-meta-';

export function isUserMetadata(name: string): boolean {
  return name.startsWith(USER_METADATA);
}

/** The headers to send with a PUT so that the new object has what the answer told of the old one. */
export function metadataOf(headers: ResponseHeaders): Header[] {
  const metadata: Header[] = [];
  for (const [name, value] of headers) {
    if (COPIED.has(name) || isUserMetadata(name)) {
      metadata.push([name, value]);
    } else if (name === 'content-encoding') {
      const encoding = withoutAwsChunked(value);
      if (encoding !== '') metadata.push([name, encoding]);
    }
  }
  return metadata;
}

/** What is kept of an object apart from its headers; a migration may or may not want it. */
export interface ObjectProperties {
  /** How many tags it has; GetObjectTagging tells which. */
  readonly tags: number;
  /** Undefined where the answer names none, which is S3's way to say STANDARD. */
  readonly storageClass: string | undefined;
  /** The lock settings, as the headers to send; a reader without the permission is not told of any. */
  readonly lock: readonly Header[];
  /** Entries of user metadata that the store has and cannot put into a header. */
  readonly unreadable: number;
}

/** @returns undefined for an object of which nothing of the kind is told, as most are */
export function propertiesOf(headers: ResponseHeaders): ObjectProperties | undefined {
  const tags = count(headers.get('x-amz-tagging-count'));
  const storageClass = headers.get(STORAGE_CLASS);
  const unreadable = count(headers.get('x-amz-missing-meta'));
  const lock: Header[] = [];
  for (const name of LOCK_NAMES) {
    const value = headers.get(name);
    if (value !== undefined) lock.push([name, value]);
  }
  if (tags + unreadable + lock.length === 0 && storageClass === undefined) return undefined;
  return { tags, storageClass, lock, unreadable };
}

function count(header: string | undefined): number {
  return header === undefined ? 0 : Math.max(0, Number.parseInt(header, 10) || 0);
}

/**
 * `aws-chunked` is the encoding of an upload, not of an object; some stores (versitygw 1.8) keep and
 * show it.
 */
function withoutAwsChunked(encoding: string): string {
  if (!encoding.includes('aws-chunked')) return encoding;
  return encoding
    .split(',')
    .map((token) => token.trim())
    .filter((token) => token !== 'aws-chunked')
    .join(',');
}
