import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { createShard } from '../../src/plan/shard.ts';

/**
 * XXH64 with seed 0 of the keys' bytes, computed by an implementation written from the
 * specification; `a` and `abc` are published values. They must never change: hosts that disagree
 * migrate keys twice or not at all.
 */
const PINNED: readonly [ObjectKey, bigint][] = [
  [keyFromText('a'), 0xd24ec4f1a98c6e5bn],
  [keyFromText('abc'), 0x44bc2cf5ad770999n],
  [keyFromText('photos/2019/03/img-00001234.jpg'), 0xd6f865a0d2ea1c56n],
  [keyFromText('photos/été.jpg'), 0xe94f48532496fad0n],
  [keyFromText('photos/\u{1f600}/a b+c%2F.jpg'), 0x67687d7b48e4d3f5n],
  ['\xff\xfe' as ObjectKey, 0x1d54d198e3108e1fn],
  ['\x01' as ObjectKey, 0x8a4127811b21e730n],
  ['k'.repeat(1_024) as ObjectKey, 0xcd523bee5129bb14n],
  ['\x80'.repeat(1_024) as ObjectKey, 0x471680d552adbebcn],
];

/** 2^26, and primes: all 64 bits of the hash count, not just the low ones. */
const COUNTS = [2, 3, 4, 7, 1_000, 65_537, 67_108_859, 2 ** 26];

describe('a shard', () => {
  it.each(PINNED)(
    'owns %j by the pinned hash of its bytes, whatever the number of hosts',
    async (key, hash) => {
      for (const count of COUNTS) {
        const value = Number(hash % BigInt(count));

        expect((await createShard({ count, value })).owns(key)).toBe(true);
        expect((await createShard({ count, value: (value + 1) % count })).owns(key)).toBe(false);
      }
    },
  );

  it('owns every key when it is the only one', async () => {
    const shard = await createShard({ count: 1, value: 0 });

    for (const [key] of PINNED) expect(shard.owns(key)).toBe(true);
  });

  it('shares every key with no other of the same count', async () => {
    const byte = fc.mapToConstant({ num: 255, build: (n) => String.fromCharCode(n + 1) });
    const key = fc.string({ unit: byte, minLength: 1, maxLength: 80 }) as fc.Arbitrary<ObjectKey>;
    await fc.assert(
      fc.asyncProperty(fc.array(key), fc.integer({ min: 1, max: 9 }), async (keys, count) => {
        const shards = await Promise.all(
          Array.from({ length: count }, (_, value) => createShard({ count, value })),
        );
        for (const one of keys) expect(shards.filter((shard) => shard.owns(one))).toHaveLength(1);
      }),
      { numRuns: 50 },
    );
  });
});
