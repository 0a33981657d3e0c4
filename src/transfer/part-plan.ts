/**
 * How a large object is cut into parts.
 */

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const MAX_PARTS = 10_000;
/** Smallest part of this tool: below it requests cost more than bytes. S3 itself takes 5 MiB. */
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
 * Equal parts, the last one shorter; as small as 10,000 parts allow, in whole MiB.
 *
 * @param bytes length of the object; at least 1
 */
export function planParts(bytes: number): PartRange[] {
  const partBytes = Math.max(MIN_PART_BYTES, Math.ceil(bytes / MAX_PARTS / MIB) * MIB);
  return Array.from({ length: Math.ceil(bytes / partBytes) }, (_, index) => ({
    partNumber: index + 1,
    first: index * partBytes,
    last: Math.min(bytes, (index + 1) * partBytes) - 1,
  }));
}
