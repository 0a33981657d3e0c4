/**
 * The verify stage between a store that answers in any order and a consumer that takes its time.
 */
import { setImmediate as soon } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KeyPage } from '../../src/domain.ts';
import { keysVerified, NOTHING_VERIFIED, newVerifyCounters } from '../../src/findings.ts';
import { retryPolicy } from '../../src/load/retry.ts';
import type { ObjectKey } from '../../src/object-key.ts';
import { type ObjectHead, StoreError } from '../../src/s3/object-store.ts';
import type { ReadableStore } from '../../src/verify/comparison.ts';
import { SideWatch } from '../../src/verify/side-watch.ts';
import { Verifier, type VerifierOptions } from '../../src/verify/verifier.ts';

const HEAD: ObjectHead = {
  bytes: 1,
  etag: 'a'.repeat(32),
  etagMayBeMd5: true,
  lastModified: '',
  metadata: [],
};

/** A store of which nothing but HEAD is asked. */
function storeOf(head: (key: ObjectKey) => Promise<ObjectHead>): ReadableStore {
  const unexpected = () => Promise.reject(new Error('not asked for'));
  return { head, get: unexpected, getTagging: unexpected };
}

/** Of a side that has worked before. */
function watchOf(name: string): SideWatch {
  const side = { name, toCheck: 'Check it', headBucket: () => Promise.resolve() };
  const retry = retryPolicy(new AbortController().signal);
  return new SideWatch({ side, hasWorked: true, retry });
}

const everything = storeOf(() => Promise.resolve(HEAD));

function givenVerifier(changes: Partial<VerifierOptions>) {
  const counters = newVerifyCounters(NOTHING_VERIFIED, 0);
  const verifier = new Verifier({
    source: everything,
    destination: everything,
    metadata: false,
    contentShare: 0,
    tellSame: true,
    retry: retryPolicy(new AbortController().signal),
    outlast: () => Promise.resolve(false),
    watches: { source: watchOf('source'), destination: watchOf('destination') },
    counters,
    signal: new AbortController().signal,
    threads: 4,
    places: () => Number.POSITIVE_INFINITY,
    halt: new AbortController(),
    forget: () => {},
    owns: undefined,
    ...changes,
  });
  return { counters, verifier };
}

function keysOf(count: number): ObjectKey[] {
  return Array.from({ length: count }, (_, i) => String(i).padStart(6, '0') as ObjectKey);
}

async function* pagesOf(keys: readonly ObjectKey[], pageKeys: number): AsyncGenerator<KeyPage> {
  for (let at = 0; at < keys.length; at += pageKeys) {
    yield { keys: keys.slice(at, at + pageKeys), listBytes: at };
  }
}

async function waitTurns(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await soon();
}

it('has as many keys under comparison as there are places, which become more and fewer', async () => {
  const changes = new Map([
    [60, 4],
    [120, 1],
  ]);
  let places = 2;
  let begun = 0;
  let underWay = 0;
  const most = new Map<number, number>();
  const busy = storeOf(async () => {
    begun++;
    underWay++;
    const changed = changes.get(begun);
    if (changed !== undefined) {
      places = changed;
      verifier.beginMore();
    }
    // Those that were under way when the places became fewer are let be.
    if (begun < 120 || begun > 124) most.set(places, Math.max(most.get(places) ?? 0, underWay));
    await waitTurns(3);
    underWay--;
    return HEAD;
  });
  const { verifier, counters } = givenVerifier({ source: busy, places: () => places });
  for await (const _ of verifier.run(pagesOf(keysOf(200), 20)));
  expect(counters.totals.same).toBe(200);
  expect(Object.fromEntries(most)).toEqual({ 1: 1, 2: 2, 4: 4 });
});

it('hands each key on once and in order, however long each takes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(5), { maxLength: 80 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(4),
      async (turns, pageKeys, threads, consumerTurns) => {
        const keys = keysOf(turns.length);
        const slow = storeOf(async (key) => {
          await waitTurns(turns[Number(key)] as number);
          return HEAD;
        });
        const { verifier, counters } = givenVerifier({ source: slow, threads });
        const handedOn: ObjectKey[] = [];
        for await (const { found, last, totals } of verifier.run(pagesOf(keys, pageKeys))) {
          expect(keysVerified(totals)).toBe(found.length);
          expect(found.at(-1)?.key).toBe(last);
          handedOn.push(...found.map(({ key }) => key));
          await waitTurns(consumerTurns);
        }
        expect(handedOn).toEqual(keys);
        expect(counters).toMatchObject({ working: 0, objects: keys.length });
        expect(counters.totals.same).toBe(keys.length);
      },
    ),
  );
});

it('compares so many keys at once, and no more', async () => {
  let underWay = 0;
  let most = 0;
  const source = storeOf(async () => {
    most = Math.max(most, ++underWay);
    await waitTurns(3);
    underWay--;
    return HEAD;
  });
  const { verifier } = givenVerifier({ source, threads: 7 });
  for await (const page of verifier.run(pagesOf(keysOf(200), 10))) expect(page.last).toBeDefined();
  expect(most).toBe(7);
});

it('goes on behind a key that takes long, and hands on what comes before it', async () => {
  const keys = keysOf(100);
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  let asked = 0;
  const source = storeOf(async (key) => {
    if (++asked === keys.length) answer();
    if (key === keys[50]) await answered;
    return HEAD;
  });
  const { verifier } = givenVerifier({ source });
  const lasts: string[] = [];
  for await (const { last } of verifier.run(pagesOf(keys, 10))) lasts.push(last);
  expect(lasts.at(-1)).toBe(keys.at(-1));
});

describe('when it is to end', () => {
  it('begins no key any more, and hands on what is done up to the first gap', async () => {
    const controller = new AbortController();
    const asked: ObjectKey[] = [];
    const source = storeOf(async (key) => {
      asked.push(key);
      if (asked.length === 20) controller.abort('SIGINT');
      await waitTurns(2);
      return HEAD;
    });
    const { verifier } = givenVerifier({ source, signal: controller.signal });
    const handedOn: ObjectKey[] = [];
    for await (const { found } of verifier.run(pagesOf(keysOf(100), 8))) {
      handedOn.push(...found.map(({ key }) => key));
    }
    expect(asked).toHaveLength(20);
    expect(handedOn).toEqual(asked);
  });

  it('because the lists do, throws what they throw, after all before that', async () => {
    async function* broken(): AsyncGenerator<KeyPage> {
      yield* pagesOf(keysOf(30), 7);
      throw new Error('out of order');
    }
    const { verifier } = givenVerifier({});
    let verified = 0;
    const run = async (): Promise<void> => {
      for await (const { totals } of verifier.run(broken())) verified += keysVerified(totals);
    };
    await expect(run()).rejects.toThrow('out of order');
    expect(verified).toBe(30);
  });

  it('because a bucket is gone, stops with that', async () => {
    const gone = new StoreError('gone', {
      kind: 'no-such-bucket',
      code: 'NoSuchBucket',
      status: 404,
      mayHaveLanded: false,
    });
    const { verifier } = givenVerifier({ source: storeOf(() => Promise.reject(gone)) });
    const run = async (): Promise<void> => {
      for await (const page of verifier.run(pagesOf(keysOf(5), 5))) expect(page).toBeUndefined();
    };
    await expect(run()).rejects.toMatchObject({ exitCode: 3 });
  });
});
