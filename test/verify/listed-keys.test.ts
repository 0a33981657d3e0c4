import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { KeyPage } from '../../src/domain.ts';
import type { ObjectKey } from '../../src/object-key.ts';
import { mergedLists } from '../../src/verify/listed-keys.ts';

/** Pages of so many keys each, some of none; each key is a byte of its list. */
async function* pagesOf(keys: readonly ObjectKey[], sizes: readonly number[]) {
  let at = 0;
  for (const size of [...sizes, keys.length]) {
    const page: KeyPage = {
      keys: keys.slice(at, at + size),
      listBytes: Math.min(at + size, keys.length),
    };
    at += size;
    yield page;
  }
}

function someKeys() {
  return fc
    .uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b', '\xff'), minLength: 1, maxLength: 4 }))
    .map((keys) => keys.toSorted() as ObjectKey[]);
}

const sizes = fc.array(fc.nat(4), { maxLength: 12 });

it('gives each key of both lists once, ascending, however they are cut into pages', async () => {
  await fc.assert(
    fc.asyncProperty(someKeys(), sizes, someKeys(), sizes, async (a, aSizes, b, bSizes) => {
      const merged: ObjectKey[] = [];
      let listBytes = 0;
      for await (const page of mergedLists(pagesOf(a, aSizes), pagesOf(b, bSizes))) {
        expect(page.keys.length).toBeGreaterThan(0);
        expect(page.listBytes).toBeGreaterThanOrEqual(listBytes);
        ({ listBytes } = page);
        merged.push(...page.keys);
      }
      expect(merged).toEqual([...new Set([...a, ...b])].toSorted());
    }),
  );
});

it('closes both lists when it is let go', async () => {
  const closed: string[] = [];
  async function* list(name: string): AsyncGenerator<KeyPage> {
    try {
      yield { keys: ['a' as ObjectKey], listBytes: 1 };
      yield { keys: ['b' as ObjectKey], listBytes: 2 };
    } finally {
      closed.push(name);
    }
  }
  for await (const { keys } of mergedLists(list('source'), list('destination'))) {
    expect(keys).toEqual(['a']);
    break;
  }
  expect(closed.toSorted()).toEqual(['destination', 'source']);
});
