import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Decision,
  type DoneRange,
  type KeyPage,
  newCounters,
  type PlanPage,
} from '../../src/domain.ts';
import { BEFORE_ALL, type ObjectKey } from '../../src/object-key.ts';
import { type PlanOptions, plan } from '../../src/plan/plan.ts';
import { createShard, type Shard } from '../../src/plan/shard.ts';

/** Pages of the keys as a list gives them: `listBytes` counts a key's line. */
async function* paged(keys: readonly ObjectKey[], pageKeys: number): AsyncGenerator<KeyPage> {
  let listBytes = 0;
  for (let start = 0; start < keys.length; start += pageKeys) {
    const page = keys.slice(start, start + pageKeys);
    listBytes += page.reduce((bytes, key) => bytes + key.length + 1, 0);
    yield { keys: page, listBytes };
  }
}

function keysOf(text: string): ObjectKey[] {
  return text.split(' ').filter((key) => key !== '') as ObjectKey[];
}

function range(after: string, last: string): DoneRange {
  return { after: after as ObjectKey, last: last as ObjectKey };
}

interface Case {
  source: readonly ObjectKey[];
  destination?: readonly ObjectKey[];
  pageKeys?: number;
  owns?: Shard;
  after?: ObjectKey;
  doneRanges?: readonly DoneRange[];
}

/** Plans from `after` on and reads the plan to its end. */
async function planned({
  source,
  destination = [],
  pageKeys = 3,
  owns,
  after = BEFORE_ALL,
  doneRanges = [],
}: Case) {
  const counters = newCounters();
  const rest = source.filter((key) => key > after);
  const pages: PlanPage[] = [];
  for await (const page of plan({
    source: paged(rest, pageKeys),
    destination: paged(destination, pageKeys + 1),
    owns,
    after,
    doneRanges,
    counters,
  })) {
    pages.push(page);
  }
  return { pages, counters };
}

function decisionsOf(pages: readonly PlanPage[]): Map<ObjectKey, number | undefined> {
  return new Map(pages.flatMap(({ keys, decisions }) => keys.map((key, i) => [key, decisions[i]])));
}

function keysDecided(pages: readonly PlanPage[], decision: Decision): ObjectKey[] {
  return [...decisionsOf(pages)].filter(([, decided]) => decided === decision).map(([key]) => key);
}

/** The ranges of the pages with their keys: `after < keys ≤ last`. */
function drawn(pages: readonly PlanPage[]): string[] {
  return pages.map(({ after, keys, last }) => `${after} < ${keys.join(' ')} ≤ ${last}`);
}

describe('the plan', () => {
  it('transfers what the destination lacks, in order', async () => {
    const { pages, counters } = await planned({
      source: keysOf('a b c d e f g'),
      destination: keysOf('0 a c cc g h'),
    });

    expect(keysDecided(pages, Decision.transfer)).toEqual(keysOf('b d e f'));
    expect(keysDecided(pages, Decision.exists)).toEqual(keysOf('a c g'));
    expect(drawn(pages)).toEqual([' < a b c ≤ c', 'c < d e f ≤ f', 'f < g ≤ g']);
    expect(counters).toMatchObject({ objects: 7, exists: 3, ignored: 0, done: 0, listBytes: 14 });
  });

  it('ignores keys of other shards, also those the destination has', async () => {
    const owns: Shard = { owns: (key) => key !== 'b' && key !== 'c' };
    const { pages, counters } = await planned({
      source: keysOf('a b c d'),
      destination: keysOf('c d'),
      owns,
    });

    expect(keysDecided(pages, Decision.ignored)).toEqual(keysOf('b c'));
    expect(keysDecided(pages, Decision.exists)).toEqual(keysOf('d'));
    expect(counters).toMatchObject({ objects: 4, ignored: 2, exists: 1 });
  });

  it('ends pages at the borders of done ranges, if need be without keys', async () => {
    const { pages, counters } = await planned({
      source: keysOf('a b c d g h'),
      destination: keysOf('c'),
      doneRanges: [range('a', 'c'), range('c', 'd'), range('e', 'f'), range('x', 'y')],
    });

    expect(drawn(pages)).toEqual([
      ' < a ≤ a',
      'a < b c ≤ c',
      'c < d ≤ d',
      'd <  ≤ e',
      'e <  ≤ f',
      'f < g h ≤ h',
      'h <  ≤ x',
      'x <  ≤ y',
    ]);
    expect(pages.map(({ listBytes }) => listBytes)).toEqual([0, 6, 6, 6, 6, 12, 12, 12]);
    expect(keysDecided(pages, Decision.done)).toEqual(keysOf('b d'));
    expect(keysDecided(pages, Decision.transfer)).toEqual(keysOf('a g h'));
    expect(counters).toMatchObject({ objects: 4, exists: 1, done: 2 });
  });

  it('leaves out what of a done range lies before its start', async () => {
    const doneRanges = [range('', 'a'), range('b', 'd')];
    const { pages } = await planned({
      source: keysOf('a b c d e'),
      after: 'c' as ObjectKey,
      doneRanges,
    });

    expect(drawn(pages)).toEqual(['c < d ≤ d', 'd < e ≤ e']);
    expect(keysDecided(pages, Decision.done)).toEqual(keysOf('d'));
  });

  it('counts the list bytes of a page without keys', async () => {
    const counters = newCounters();
    async function* source(): AsyncGenerator<KeyPage> {
      yield { keys: [], listBytes: 99 };
    }
    const options = { destination: paged([], 1), owns: undefined, after: BEFORE_ALL };

    for await (const page of plan({ ...options, source: source(), doneRanges: [], counters })) {
      expect.unreachable(`a page up to ${page.last}`);
    }
    expect(counters.listBytes).toBe(99);
  });
});

describe('a list that breaks', () => {
  async function* broken(keys: string, error: Error): AsyncGenerator<KeyPage> {
    yield* paged(keysOf(keys), 2);
    throw error;
  }

  async function readUntilError(lists: Pick<PlanOptions, 'source' | 'destination'>) {
    const pages: PlanPage[] = [];
    const options = { ...lists, owns: undefined, after: BEFORE_ALL, doneRanges: [] };
    const reading = (async () => {
      for await (const page of plan({ ...options, counters: newCounters() })) pages.push(page);
    })();
    await expect(reading).rejects.toThrow('out of order');
    return drawn(pages);
  }

  it('at the source stops the plan after the pages before', async () => {
    const source = broken('a b c d', new Error('out of order'));
    const destination = paged(keysOf('a'), 2);

    expect(await readUntilError({ source, destination })).toEqual([' < a b ≤ b', 'b < c d ≤ d']);
  });

  it('at the destination stops the plan before the keys it is needed for', async () => {
    const source = paged(keysOf('a b c d'), 2);
    const destination = broken('a b', new Error('out of order'));

    expect(await readUntilError({ source, destination })).toEqual([' < a b ≤ b']);
  });
});

describe('an interrupted plan', () => {
  it('ends without an error, and closes both lists', async () => {
    const closed: string[] = [];
    const abort = new AbortController();
    async function* list(name: string): AsyncGenerator<KeyPage> {
      try {
        for (const key of keysOf('a b c d')) {
          abort.signal.throwIfAborted();
          yield { keys: [key], listBytes: 0 };
        }
      } finally {
        closed.push(name);
      }
    }
    const read: string[] = [];

    for await (const { keys } of plan({
      source: list('source'),
      destination: list('destination'),
      owns: undefined,
      after: BEFORE_ALL,
      doneRanges: [],
      counters: newCounters(),
      signal: abort.signal,
    })) {
      read.push(...keys);
      abort.abort();
    }

    expect(read).toEqual(['a']);
    expect(closed.toSorted()).toEqual(['destination', 'source']);
  });
});

describe('laws', () => {
  const unit = fc.constantFrom('a', 'b', '/', '\x01', '\x80', '\xff');
  const key = fc.string({ unit, minLength: 1, maxLength: 5 }) as fc.Arbitrary<ObjectKey>;
  const keySet = fc.array(key, { maxLength: 60 }).map((keys) => [...new Set(keys)].toSorted());
  const pageKeys = fc.integer({ min: 1, max: 9 });
  /** Two neighbours of an ascending sequence make a range; every other pair is one, or all touch. */
  const doneRanges = fc
    .tuple(fc.uniqueArray(key, { maxLength: 10 }), fc.boolean())
    .map(([some, touching]) => {
      const borders = some.toSorted();
      const pairs = borders.slice(1).map((last, i) => ({ after: borders[i] as ObjectKey, last }));
      return touching ? pairs : pairs.filter((_, i) => i % 2 === 0);
    });

  it('plan(source, destination) is the set difference', async () => {
    await fc.assert(
      fc.asyncProperty(keySet, keySet, pageKeys, async (source, destination, size) => {
        const { pages } = await planned({ source, destination, pageKeys: size });
        const there = new Set(destination);

        expect(keysDecided(pages, Decision.transfer)).toEqual(
          source.filter((one) => !there.has(one)),
        );
        expect(keysDecided(pages, Decision.exists)).toEqual(source.filter((one) => there.has(one)));
      }),
    );
  });

  it('the shards of one count transfer every key between them, and each once', async () => {
    await fc.assert(
      fc.asyncProperty(keySet, fc.integer({ min: 1, max: 5 }), async (source, count) => {
        const shares = await Promise.all(
          Array.from({ length: count }, async (_, value) => {
            const { pages } = await planned({ source, owns: await createShard({ count, value }) });
            return keysDecided(pages, Decision.transfer);
          }),
        );
        expect(shares.flat().toSorted()).toEqual(source);
      }),
      { numRuns: 50 },
    );
  });

  it('pages chain, none crosses a border, and every border ends one', async () => {
    await fc.assert(
      fc.asyncProperty(
        keySet,
        keySet,
        doneRanges,
        key,
        pageKeys,
        async (source, destination, ranges, after, size) => {
          const { pages, counters } = await planned({
            source,
            destination,
            doneRanges: ranges,
            after,
            pageKeys: size,
          });
          const lasts = pages.map(({ last }) => last);
          const borders = ranges
            .flatMap((done) => [done.after, done.last])
            .filter((one) => one > after);

          expect(pages.map((page) => page.after)).toEqual([after, ...lasts].slice(0, pages.length));
          expect(lasts).toEqual([...new Set(lasts)].toSorted());
          expect(lasts).toEqual(expect.arrayContaining(borders));
          for (const { keys, decisions, after: low, last } of pages) {
            expect(keys.every((one) => low < one && one <= last)).toBe(true);
            expect(decisions).toHaveLength(keys.length);
          }
          const listed = pages.flatMap(({ keys }) => keys);
          expect(listed).toEqual(source.filter((one) => one > after));
          expect(counters.objects + counters.done).toBe(listed.length);
        },
      ),
    );
  });

  it('done ranges turn exactly their transfers into done', async () => {
    await fc.assert(
      fc.asyncProperty(keySet, keySet, doneRanges, async (source, destination, ranges) => {
        const fresh = decisionsOf((await planned({ source, destination })).pages);
        const resumed = decisionsOf(
          (await planned({ source, destination, doneRanges: ranges })).pages,
        );

        for (const [one, decision] of fresh) {
          const inRange = ranges.some(({ after, last }) => after < one && one <= last);
          const isDone = inRange && decision === Decision.transfer;
          expect(resumed.get(one)).toBe(isDone ? Decision.done : decision);
        }
      }),
    );
  });

  it('a plan that begins after a key is the rest of the full plan', async () => {
    await fc.assert(
      fc.asyncProperty(keySet, keySet, key, async (source, destination, after) => {
        const full = decisionsOf((await planned({ source, destination })).pages);
        const rest = decisionsOf((await planned({ source, destination, after })).pages);

        expect([...rest]).toEqual([...full].filter(([one]) => one > after));
      }),
    );
  });
});
