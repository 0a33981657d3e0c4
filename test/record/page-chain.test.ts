import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PageChain } from '../../src/record/page-chain.ts';
import { key, outOfOrder, randomFrom } from './model-run.ts';

const name = (index: number) => key(String(index).padStart(6, '0'));
const range = (index: number) => ({
  after: name(index),
  last: name(index + 1),
  ignored: 1,
  exists: 2,
  files: [{ path: String(index), bytes: 1, after: name(index) }],
});

describe('PageChain', () => {
  it('joins touching pages in whatever order they come, files in key order', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 40 }), (seed, pages) => {
        const chain = new PageChain();
        const indexes = Array.from({ length: pages }, (_, index) => index);
        for (const index of outOfOrder(indexes, 1e6, randomFrom(seed))) chain.add(range(index));
        expect(chain.size).toBe(1);
        expect(chain.take(name(0))).toEqual({
          after: name(0),
          last: name(pages),
          ignored: pages,
          exists: 2 * pages,
          files: indexes.map((index) => range(index).files[0]),
        });
        expect(chain.size).toBe(0);
      }),
    );
  });

  it('gives nothing at a position where no range begins', () => {
    const chain = new PageChain();
    chain.add(range(1));
    expect(chain.take(name(0))).toBeUndefined();
    expect(chain.take(name(2))).toBeUndefined();
  });

  it('holds one range for a million pages that need nothing', () => {
    const chain = new PageChain();
    for (let index = 1; index <= 1_000_000; index++) chain.add({ ...range(index), files: [] });
    expect(chain.size).toBe(1);
    expect(chain.take(name(1))?.exists).toBe(2_000_000);
  });
});
