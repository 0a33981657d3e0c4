/**
 * How large objects are cut: S3's borders, and that nothing is lost between the parts.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MIN_PART_BYTES,
  type PartRange,
  planParts,
  planPartsOf,
} from '../../../src/transfer/parts/part-plan.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const TIB = 1024 ** 4;
const lengths = (bytes: number, partBytes?: number) =>
  planParts(bytes, partBytes).map(({ first, last }) => last - first + 1);

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

it.each([
  [5 * GIB - 1, 320, MIN_PART_BYTES - 1],
  [5 * GIB, 320, MIN_PART_BYTES],
  [5 * GIB + 1, 321, 1],
  [5 * TIB - 1, 9987, 230 * MIB - 1],
  [5 * TIB, 9987, 230 * MIB],
])('cuts %i bytes into %i parts, the last one of %i bytes', (bytes, count, last) => {
  expect(lengths(bytes)).toHaveLength(count);
  expect(lengths(bytes).at(-1)).toBe(last);
});

it('is never asked for an object without content', () => {
  expect(() => planParts(0)).toThrow(RangeError);
});

describe('with a length that was asked for', () => {
  it.each([
    [5 * MIB, 5 * MIB, [5 * MIB]],
    [5 * MIB, 5 * MIB + 1, [5 * MIB, 1]],
    [5 * MIB, 1, [1]],
    [5 * MIB + 1, 10 * MIB, [5 * MIB + 1, 5 * MIB - 1]],
    [5 * GIB, 5 * GIB + 1, [5 * GIB, 1]],
  ])('of %i bytes cuts %i bytes into %j', (partBytes, bytes, expected) => {
    expect(lengths(bytes, partBytes)).toEqual(expected);
  });

  it('is taken for the automatic one when it is not given', () => {
    expect(lengths(17 * MIB, undefined)).toEqual(lengths(17 * MIB));
  });

  it('makes 10,000 of it, and larger ones in whole MiB for one byte more', () => {
    const border = 10_000 * 5 * MIB;
    expect(planParts(border, 5 * MIB)).toHaveLength(10_000);
    expect(planParts(border + 1, 5 * MIB)[0]?.last).toBe(6 * MIB - 1);
    expect(planParts(border + 1, 5 * MIB).length).toBeLessThan(10_000);
  });

  it('is raised for S3’s largest object', () => {
    expect(lengths(5 * TIB, 5 * MIB)).toEqual(lengths(5 * TIB));
  });
});

it('keeps to 10,000 parts of at most 5 GiB for S3’s largest object', () => {
  const sizes = lengths(5 * TIB);
  expect(sizes.length).toBeLessThanOrEqual(10_000);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(5 * 1024 * MIB);
});

it('covers every byte once, in order, in equal parts but for the last one', () => {
  const size = fc.integer({ min: 5 * MIB, max: 5 * GIB });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 * TIB }),
      fc.option(size, { nil: undefined }),
      (bytes, partBytes) => {
        const parts = planParts(bytes, partBytes);
        const [{ last: firstLast }] = parts as [PartRange];
        let next = 0;
        for (const [index, { partNumber, first, last }] of parts.entries()) {
          // Plain comparisons: expect() for each of 10,000 parts would take minutes.
          if (partNumber !== index + 1 || first !== next || last < first) return false;
          const size = last - first + 1;
          const isLast = index === parts.length - 1;
          if (!isLast && size !== firstLast + 1) return false;
          next = last + 1;
        }
        return next === bytes && parts.length <= 10_000;
      },
    ),
    { numRuns: 50 },
  );
});

describe('parts of given lengths', () => {
  it('follow each other', () => {
    expect(planPartsOf([7, 5, 1])).toEqual([
      { partNumber: 1, first: 0, last: 6 },
      { partNumber: 2, first: 7, last: 11 },
      { partNumber: 3, first: 12, last: 12 },
    ]);
  });

  it('are those that were planned, when they are planned again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 * TIB }), (bytes) => {
        const parts = planParts(bytes);
        const again = planPartsOf(lengths(bytes));
        return parts.every(({ first, last }, i) => {
          const same = again[i];
          return same?.first === first && same.last === last;
        });
      }),
      { numRuns: 20 },
    );
  });
});
