import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { isInSample } from '../../src/verify/sample.ts';

const keys = Array.from({ length: 20_000 }, (_, i) => `photos/${i}.jpg` as ObjectKey);

it('has about as many keys as its share says', () => {
  for (const share of [0.01, 0.1, 0.5]) {
    const { length } = keys.filter((key) => isInSample(key, share));
    expect(length / keys.length).toBeGreaterThan(share * 0.8);
    expect(length / keys.length).toBeLessThan(share * 1.2);
  }
});

it('of a smaller share is part of that of a larger one', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...keys),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (key, share) => {
        fc.pre(isInSample(key, share));
        expect(isInSample(key, (share + 1) / 2)).toBe(true);
      },
    ),
  );
});

it('never changes: every host and every later version reads the same objects', () => {
  expect(keys.slice(0, 200).filter((key) => isInSample(key, 0.02))).toMatchInlineSnapshot(`
    [
      "photos/17.jpg",
      "photos/104.jpg",
      "photos/150.jpg",
      "photos/151.jpg",
      "photos/163.jpg",
      "photos/195.jpg",
    ]
  `);
});
