/**
 * How a large object is cut into parts.
 */

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
export const MAX_PARTS = 10_000;
/** Of a part, and of an object that is written by one PUT. */
export const MAX_PART_BYTES = 5 * 1024 ** 3;
/** Of each part but the last. */
export const MIN_KEPT_PART_BYTES = 5 * 1024 ** 2;
/** A part's length unless another is asked for: below it requests cost more than bytes. S3 itself takes 5 MiB. */
export const MIN_PART_BYTES = 16 * 1024 ** 2;
const MIB = 1024 ** 2;

export interface PartRange {
  /** From 1. */
  readonly partNumber: number;
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

/**
 * Equal parts, the last one shorter.
 *
 * @param bytes - length of the object; at least 1: an upload without a part makes no object
 * @param partBytes - 5 MiB to 5 GiB. As much more is taken as 10,000 parts need, in whole MiB
 */
export function planParts(bytes: number, partBytes: number = MIN_PART_BYTES): PartRange[] {
  if (bytes < 1) throw new RangeError(`no parts can be made of ${bytes} bytes`);
  const size = Math.max(partBytes, Math.ceil(bytes / MAX_PARTS / MIB) * MIB);
  return Array.from({ length: Math.ceil(bytes / size) }, (_, index) => ({
    partNumber: index + 1,
    first: index * size,
    last: Math.min(bytes, (index + 1) * size) - 1,
  }));
}

/**
 * Parts of these lengths.
 *
 * @param lengths - in bytes, each at least 1
 */
export function planPartsOf(lengths: readonly number[]): PartRange[] {
  let next = 0;
  return lengths.map((length, index) => {
    const first = next;
    next += length;
    return { partNumber: index + 1, first, last: next - 1 };
  });
}
