/**
 * Asks the source a second time, in another way, where its first answer is the only word about an object's
 * content: a proxy that gives less than all of it, or the same wrong byte each time, then contradicts itself.
 */
import type { ObjectKey } from '../object-key.ts';
import { type ObjectHead, StoreError, type StoreErrorKind } from '../s3/object-store.ts';
import type { CopyContext } from './copy-context.ts';
import type { ReadDigest } from './copy-through.ts';
import { base64ToHex, RunningDigest } from './digest.ts';
import type { PartRange } from './parts/part-plan.ts';
import { digestRange } from './source-range.ts';
import { at, changed, TransferError } from './transfer-error.ts';

/** Of a source that does not answer such a question, however often it is asked. */
const NEVER_TOLD: ReadonlySet<StoreErrorKind> = new Set(['denied', 'refused', 'not-implemented']);

/**
 * Holds the length of what was read against HEAD.
 *
 * @throws TransferError `source-truncated` when HEAD tells another; `changed` when it tells of another object
 */
export async function confirmLength(
  key: ObjectKey,
  read: ObjectHead,
  { source }: CopyContext,
): Promise<void> {
  try {
    const told = await at('source', source.head(key));
    if (told.bytes === read.bytes) return;
    const isSame = told.etag === read.etag && told.lastModified === read.lastModified;
    throw isSame ? cutShort(read.bytes, told.bytes) : new TransferError('source', changed(200));
  } catch (error) {
    if (error instanceof TransferError && tellsNoLength(error)) return;
    throw error;
  }
}

/**
 * Whether two ranges of the object hold the bytes that it gave as a whole.
 *
 * @param read - what was read of the whole
 * @returns true also where the source gives no ranges, or there is nothing to divide
 * @throws TransferError of what may pass
 */
export async function confirmBytes(
  key: ObjectKey,
  object: ObjectHead,
  read: ReadDigest,
  { source }: CopyContext,
): Promise<boolean> {
  if (object.bytes < 2) return true;
  const half = Math.ceil(object.bytes / 2);
  const ranges: readonly PartRange[] = [
    { partNumber: 1, first: 0, last: half - 1 },
    { partNumber: 2, first: half, last: object.bytes - 1 },
  ];
  const running = new RunningDigest('md5');
  for (const range of ranges) {
    try {
      await digestRange({ key, range, version: object }, source, running);
    } catch (error) {
      if (error instanceof TransferError && givesNoRanges(error)) return true;
      throw error;
    }
  }
  return base64ToHex(running.take().base64) === read.md5;
}

function tellsNoLength({ kind, code }: TransferError): boolean {
  return NEVER_TOLD.has(kind) || code === 'no-length';
}

function givesNoRanges({ kind, code }: TransferError): boolean {
  return NEVER_TOLD.has(kind) || code === 'wrong-range';
}

/** The source gave less than it says the object has. */
export function cutShort(read: number, bytes: number): TransferError {
  return new TransferError(
    'source',
    new StoreError(`GET gave ${read} bytes of an object of ${bytes}`, {
      kind: 'not-s3',
      code: 'source-truncated',
      status: 200,
      mayHaveLanded: false,
    }),
  );
}
