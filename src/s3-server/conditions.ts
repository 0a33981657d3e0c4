/**
 * Conditional requests: `If-Match` and `If-None-Match`, for reading, writing and deleting.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
 */
import { S3Error } from './s3-error.ts';

interface Tagged {
  /** Without quotes. */
  readonly etag: string;
}

export interface Condition {
  /** A list of ETags, or `*`. */
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

export function conditionOf(headers: ReadonlyMap<string, string>): Condition {
  return { ifMatch: headers.get('if-match'), ifNoneMatch: headers.get('if-none-match') };
}

/**
 * Whether an object may be read.
 *
 * @throws S3Error PreconditionFailed by If-Match
 */
export function checkRead(object: Tagged, condition: Condition): 'send' | 'not-modified' {
  if (condition.ifMatch !== undefined && !matches(condition.ifMatch, object)) {
    throw new S3Error('PreconditionFailed');
  }
  if (condition.ifNoneMatch === undefined) return 'send';
  return matches(condition.ifNoneMatch, object) ? 'not-modified' : 'send';
}

/**
 * Whether a key may be written, given what it holds now.
 *
 * @throws S3Error PreconditionFailed; NoSuchKey when If-Match names the ETag of a missing object;
 *   NotImplemented for an If-None-Match other than `*`, as AWS
 */
export function checkWrite(existing: Tagged | undefined, condition: Condition): void {
  const { ifMatch, ifNoneMatch } = condition;
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() !== '*') throw new S3Error('NotImplemented');
    if (existing !== undefined) throw new S3Error('PreconditionFailed');
  }
  if (ifMatch === undefined) return;
  if (existing === undefined) {
    throw new S3Error(ifMatch.trim() === '*' ? 'PreconditionFailed' : 'NoSuchKey');
  }
  if (!matches(ifMatch, existing)) throw new S3Error('PreconditionFailed');
}

/**
 * Whether a key may be deleted.
 *
 * @throws S3Error PreconditionFailed, for a missing object too
 */
export function checkDelete(existing: Tagged | undefined, { ifMatch }: Condition): void {
  if (ifMatch === undefined) return;
  if (existing === undefined || !matches(ifMatch, existing)) {
    throw new S3Error('PreconditionFailed');
  }
}

function matches(list: string, object: Tagged): boolean {
  return list
    .split(',')
    .map((entry) => entry.trim().replace(/^W\//, ''))
    .some((entry) => entry === '*' || entry.replace(/^"(.*)"$/, '$1') === object.etag);
}
