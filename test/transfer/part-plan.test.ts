/**
 * How large objects are cut: S3's borders, and that nothing is lost between the parts.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MIN_PART_BYTES, planParts } from '../../src/transfer/part-plan.ts';

const MIB = 1024 ** 2;
const TIB = 1024 ** 4;
const lengths = (bytes: number) => planParts(bytes).map(({ first, last }) => last - first + 1);

it.each([
  [1, [1]],
  [MIN_PART_BYTES - 1, [MIN_PART_BYTES - 1]],
  [MIN_PART_BYTES, [MIN_PART_BYTES]],
  [MIN_PART_BYTES + 1, [MIN_PART_BYTES, 1]],
  [2 * MIN_PART_BYTES, [MIN_PART_BYTES, MIN_PART_BYTES]],
])('cuts %i bytes into %j', (bytes, expected) => {
  expect(lengths(bytes)).toEqual(expected);
});

describe('at the border of 10,000 parts', () => {
  const border = 10_000 * MIN_PART_BYTES;

  it('makes 10,000 of the smallest', () => {
    expect(planParts(border)).toHaveLength(10_000);
    expect(planParts(border).at(-1)).toEqual({
      partNumber: 10_000,
      first: border - MIN_PART_BYTES,
      last: border - 1,
    });
  });

  it('makes them a MiB larger for one byte more', () => {
    const parts = planParts(border + 1);
    expect(parts.length).toBeLessThan(10_000);
    expect(parts[0]).toEqual({ partNumber: 1, first: 0, last: 17 * MIB - 1 });
  });
});

it('keeps to 10,000 parts of at most 5 GiB for S3’s largest object', () => {
  const sizes = lengths(5 * TIB);
  expect(sizes.length).toBeLessThanOrEqual(10_000);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(5 * 1024 * MIB);
});

it('covers every byte once, in order, in whole MiB but for the last part', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 * TIB }), (bytes) => {
      const parts = planParts(bytes);
      let next = 0;
      for (const [index, { partNumber, first, last }] of parts.entries()) {
        // Plain comparisons: expect() for each of 10,000 parts would take minutes.
        if (partNumber !== index + 1 || first !== next || last < first) return false;
        const size = last - first + 1;
        const isLast = index === parts.length - 1;
        if (!isLast && (size < MIN_PART_BYTES || size % MIB !== 0)) return false;
        next = last + 1;
      }
      return next === bytes && parts.length <= 10_000;
    }),
    { numRuns: 50 },
  );
});
