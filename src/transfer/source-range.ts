/**
 * Reads a range of the source's object, of one version of it and no other.
 */
import type { ObjectVersion } from '../domain.ts';
import type { ObjectKey } from '../object-key.ts';
import type { ObjectStore, Receiving } from '../s3/object-store.ts';
import { Passage } from '../wire/passage.ts';
import type { RunningDigest } from './digest.ts';
import type { PartRange } from './parts/part-plan.ts';
import { at, changed, TransferError } from './transfer-error.ts';

export interface SourceRange {
  readonly key: ObjectKey;
  readonly range: PartRange;
  /** What tells the version of the object that the range must be of. */
  readonly version: ObjectVersion;
}

/**
 * @param receive - gives the place for the content; called when the object is known to be the right version
 * @throws TransferError; `precondition-failed` with the code `changed` when there is another version
 */
export async function readRange(
  { key, range: { first, last }, version }: SourceRange,
  source: ObjectStore,
  receive: () => Receiving,
): Promise<void> {
  const getting = source.get(key, {
    range: { first, last },
    ...(version.etag === '' ? {} : { ifMatch: version.etag }),
    receive: (head) => {
      // Stores that ignore If-Match, and objects without an ETag, must not be mixed of two versions either.
      if (!isSameVersion(head, version)) throw changed(206);
      return receive();
    },
  });
  await ofThatVersion(getting).catch((error: unknown) => {
    // There is a shorter one now, in a store that ignores If-Match.
    const isBeyond = error instanceof TransferError && error.cause.status === 416;
    throw isBeyond ? new TransferError('source', changed(416)) : error;
  });
}

/**
 * Reads a range only to digest it, and keeps none of it.
 *
 * @throws as {@link readRange}; the digest is of no use then
 */
export function digestRange(
  asked: SourceRange,
  source: ObjectStore,
  running: RunningDigest,
): Promise<void> {
  const { first, last } = asked.range;
  return readRange(asked, source, () => {
    const passage = new Passage(last - first + 1, () => {});
    passage.connectWriter({
      write: (piece) => {
        running.update(piece);
        return true;
      },
      fail: () => {},
    });
    return passage;
  });
}

/**
 * What the source is asked under an `If-Match`.
 *
 * @throws TransferError; `precondition-failed` with the code `changed` when that does not hold
 */
export function ofThatVersion<T>(exchange: Promise<T>): Promise<T> {
  return at('source', exchange).catch((error: unknown) => {
    const refused = error instanceof TransferError && error.kind === 'precondition-failed';
    throw refused ? new TransferError('source', changed(error.cause.status)) : error;
  });
}

export function isSameVersion(a: ObjectVersion, b: ObjectVersion): boolean {
  return a.bytes === b.bytes && a.etag === b.etag && a.lastModified === b.lastModified;
}
