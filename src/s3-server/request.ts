/**
 * What a request asks for, as bytes: the target is taken apart without `URL`, which would rewrite
 * `//`, `.` and `..`, and headers come from `rawHeaders`, since Node drops or joins some of them.
 * All strings here are byte strings (one char a byte).
 */
import type { IncomingMessage } from 'node:http';
import { BEFORE_ALL, type ObjectKey } from '../object-key.ts';
import { percentDecode } from './percent-encoding.ts';
import { S3Error } from './s3-error.ts';

export interface S3Request {
  readonly method: string;
  /** The target up to the first `?`, as received. */
  readonly rawPath: string;
  /** The target after the first `?`, as received. */
  readonly rawQuery: string;
  /** Undefined when neither host nor path name one. */
  readonly bucket: string | undefined;
  /** Empty for a request about the bucket itself. */
  readonly key: ObjectKey;
  /** Decoded; the first of equal names. A name without `=` has the value ''. */
  readonly query: ReadonlyMap<string, string>;
  /** By lower-case name; the values of equal names are joined by a comma. */
  readonly headers: ReadonlyMap<string, string>;
}

/**
 * @param hostBucket the bucket a Host header names; undefined when the path names it
 * @throws S3Error InvalidURI
 */
export function parseRequest(
  incoming: IncomingMessage,
  hostBucket: (host: string) => string | undefined,
): S3Request {
  const target = incoming.url ?? '';
  const queryAt = target.indexOf('?');
  const rawPath = queryAt < 0 ? target : target.slice(0, queryAt);
  const rawQuery = queryAt < 0 ? '' : target.slice(queryAt + 1);
  const headers = joinHeaders(incoming.rawHeaders);
  const path = percentDecode(rawPath);
  if (path === undefined || !path.startsWith('/')) throw new S3Error('InvalidURI');
  return {
    method: incoming.method ?? '',
    rawPath,
    rawQuery,
    ...bucketAndKey(path.slice(1), hostBucket(headers.get('host') ?? '')),
    query: new Map(queryParameters(rawQuery).toReversed()),
    headers,
  };
}

function bucketAndKey(
  path: string,
  virtualBucket: string | undefined,
): Pick<S3Request, 'bucket' | 'key'> {
  if (virtualBucket !== undefined) return { bucket: virtualBucket, key: path as ObjectKey };
  const slash = path.indexOf('/');
  const bucket = slash < 0 ? path : path.slice(0, slash);
  return {
    bucket: bucket === '' ? undefined : bucket,
    key: slash < 0 ? BEFORE_ALL : (path.slice(slash + 1) as ObjectKey),
  };
}

/**
 * The decoded pairs of a query, or of anything in its form, in order.
 *
 * @throws S3Error InvalidURI on a malformed escape
 */
export function queryParameters(rawQuery: string): [name: string, value: string][] {
  if (rawQuery === '') return [];
  return rawQuery
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      return equals < 0
        ? [decodeQueryPart(pair), '']
        : [decodeQueryPart(pair.slice(0, equals)), decodeQueryPart(pair.slice(equals + 1))];
    });
}

function decodeQueryPart(encoded: string): string {
  const decoded = percentDecode(encoded.replaceAll('+', ' '));
  if (decoded === undefined) throw new S3Error('InvalidURI');
  return decoded;
}

function joinHeaders(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    const value = rawHeaders[i + 1] ?? '';
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier},${value}`);
  }
  return headers;
}

export interface VirtualHostOptions {
  /** A domain whose subdomains are buckets; undefined when only `localhost` has such. */
  readonly domain: string | undefined;
  readonly isBucket: (name: string) => boolean;
}

/**
 * The bucket a Host header names, by virtual-host addressing.
 *
 * Subdomains of `localhost` and of the domain are buckets. With a domain set, so is the first label
 * of any other host if such a bucket exists, which serves clients behind a tunnel or another name.
 */
export function bucketOfHost(
  host: string,
  { domain, isBucket }: VirtualHostOptions,
): string | undefined {
  const name = host.replace(/:\d*$/, '');
  for (const suffix of domain === undefined ? ['.localhost'] : ['.localhost', `.${domain}`]) {
    if (name.endsWith(suffix)) return name.slice(0, -suffix.length);
  }
  if (domain === undefined) return undefined;
  const label = name.split('.', 1)[0] ?? '';
  return isBucket(label) ? label : undefined;
}
