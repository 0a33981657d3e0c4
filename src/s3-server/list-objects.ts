/**
 * One page of a listing: ListObjectsV2's rules over keys in byte order, without the XML.
 *
 * Whatever the page size, the pages of a listing put together are the same. What was written or
 * deleted meanwhile is seen if it lies after the page.
 */
import type { ObjectKey } from '../object-key.ts';
import { S3Error } from './s3-error.ts';

export interface ListingRequest {
  /** A byte string; every listed key starts with it. */
  readonly prefix: string;
  /** Keys with it after the prefix are rolled up; none when ''. */
  readonly delimiter: string;
  /** Keys up to and with it are left out. */
  readonly startAfter: string;
  /** From the page before; takes the place of `startAfter`. */
  readonly token: string | undefined;
  /** 0 to 1,000; keys and common prefixes together. */
  readonly maxKeys: number;
}

export interface ListingPage {
  readonly keys: readonly ObjectKey[];
  readonly commonPrefixes: readonly ObjectKey[];
  /** Undefined on the last page. */
  readonly nextToken: string | undefined;
}

/** Where a page ended: after a key, or after everything under a common prefix. */
interface Position {
  readonly kind: 'key' | 'prefix';
  readonly at: string;
}

/**
 * @param sortedKeys all keys of the bucket in byte order
 * @throws S3Error InvalidArgument when the token is not one of ours
 */
export function listPage(sortedKeys: readonly ObjectKey[], request: ListingRequest): ListingPage {
  const { prefix, delimiter, maxKeys } = request;
  const keys: ObjectKey[] = [];
  const commonPrefixes: ObjectKey[] = [];
  let last: Position = startOf(request);
  let index = indexAfter(sortedKeys, last);
  if (last.at < prefix) index = Math.max(index, lowerBound(sortedKeys, prefix));

  for (;;) {
    const key = sortedKeys[index];
    if (key?.startsWith(prefix) !== true || maxKeys === 0) {
      return { keys, commonPrefixes, nextToken: undefined };
    }
    if (keys.length + commonPrefixes.length === maxKeys) {
      return { keys, commonPrefixes, nextToken: encodeToken(last) };
    }
    const border = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (border < 0) {
      keys.push(key);
      last = { kind: 'key', at: key };
      index++;
    } else {
      const commonPrefix = key.slice(0, border + delimiter.length) as ObjectKey;
      commonPrefixes.push(commonPrefix);
      last = { kind: 'prefix', at: commonPrefix };
      index = indexAfter(sortedKeys, last);
    }
  }
}

function startOf({ token, startAfter }: ListingRequest): Position {
  return token === undefined ? { kind: 'key', at: startAfter } : decodeToken(token);
}

function indexAfter(sortedKeys: readonly ObjectKey[], { kind, at }: Position): number {
  if (kind === 'prefix') return firstIndex(sortedKeys, (key) => key > at && !key.startsWith(at));
  return firstIndex(sortedKeys, (key) => key > at);
}

function lowerBound(sortedKeys: readonly ObjectKey[], bound: string): number {
  return firstIndex(sortedKeys, (key) => key >= bound);
}

/** The first index whose key passes, for a test that no key fails after one that passes. */
function firstIndex(sortedKeys: readonly ObjectKey[], passes: (key: ObjectKey) => boolean): number {
  let low = 0;
  let high = sortedKeys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (passes(sortedKeys[middle] as ObjectKey)) high = middle;
    else low = middle + 1;
  }
  return low;
}

function encodeToken({ kind, at }: Position): string {
  return Buffer.from(`${kind}:${at}`, 'latin1').toString('base64url');
}

function decodeToken(token: string): Position {
  const match = /^(key|prefix):([\s\S]*)$/.exec(Buffer.from(token, 'base64url').toString('latin1'));
  if (match === null) {
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
  }
  return { kind: match[1] as Position['kind'], at: match[2] ?? '' };
}
