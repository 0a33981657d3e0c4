/**
 * The transfer stage: pages of a plan in, pages of outcomes out, in whatever order the objects end.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Decision, newCounters, type OutcomePage, type PlanPage } from '../../src/domain.ts';
import { MigrateError } from '../../src/errors.ts';
import { retryPolicy } from '../../src/load/retry.ts';
import { BEFORE_ALL, keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { DEFAULT_POLICY } from '../../src/transfer/copy-policy.ts';
import { LocalCrew, type LocalCrewOptions } from '../../src/transfer/crew/local-crew.ts';
import type { FailureLimits } from '../../src/transfer/failure-watch.ts';
import { Transfer } from '../../src/transfer/transfer.ts';
import type { FaultScript } from '../support/fault-script.ts';
import { collect, type Decided, gate, inKeyOrder, planPages, stream } from './plan-pages.ts';
import { failureLimits, NOW, startTwoServers, type TwoServers } from './two-servers.ts';

let servers: TwoServers;
let source: FaultScript;
let destination: FaultScript;
let interruption: AbortController;
beforeEach(async () => {
  servers = await startTwoServers();
  source = servers.source.script;
  destination = servers.destination.script;
  interruption = new AbortController();
});
afterEach(() => servers.close());

const { transfer: copy, exists, ignored, done } = Decision;

const stage = ({
  signal = interruption.signal,
  failures,
  ...changes
}: Partial<LocalCrewOptions> & {
  signal?: AbortSignal;
  failures?: Partial<FailureLimits>;
} = {}) => {
  const options: LocalCrewOptions = {
    source: servers.source.store,
    destination: servers.destination.store,
    counters: servers.counters,
    threads: 4,
    threadsMin: 1,
    maxOutageMs: 0,
    memoryBytes: 1024 ** 2,
    multipartThresholdBytes: 1024 ** 3,
    partBytes: undefined,
    policy: DEFAULT_POLICY,
    uploads: servers.uploads,
    retry: servers.retry,
    now: () => NOW,
    ...changes,
  };
  const { counters, threads } = options;
  return new Transfer({
    counters,
    threads,
    failures: { ...failureLimits(servers), ...failures },
    signal,
    warn: (message) => servers.warnings.push(message),
    crew: (events) => new LocalCrew(options, events),
  });
};

/** Keys `a0`, `a1`, …, which the source has. */
function objects(letter: string, count: number): ObjectKey[] {
  const keys = Array.from({ length: count }, (_, index) =>
    keyFromText(letter + String(index).padStart(String(count - 1).length, '0')),
  );
  for (const key of keys)
    servers.source.bucket.put(key, { body: Buffer.from(`content of ${key}`) });
  return keys;
}

const toCopy = (keys: readonly ObjectKey[]) => keys.map((key): Decided => [key, copy]);
const keysOf = (pages: readonly OutcomePage[]) =>
  pages.flatMap(({ outcomes }) => outcomes.map(({ key }) => key));
/** What the copies of these keys, once begun, wait for. */
const hold = (...keys: ObjectKey[]) => {
  const held = gate();
  for (const key of keys) source.on('GET', key).before(() => held.opened);
  return held.open;
};

describe('outcomes', () => {
  it('come also of a page that is done in the very moment in which there was none to hand on', async () => {
    const [only] = planPages([[['a' as ObjectKey, exists]]]);
    // Each turn that the page comes later is another place in which to be missed.
    for (let turns = 0; turns < 20; turns++) {
      const taken = gate();
      const run = stage().run(
        (async function* () {
          for (let turn = 0; turn < turns; turn++) await Promise.resolve();
          yield only as PlanPage;
          // As where the disk has no room for further pages.
          await taken.opened;
        })(),
      );
      const pages: OutcomePage[] = [];
      const next = run.next().then(({ value }) => pages.push(value as OutcomePage));
      // Whatever needs no more than promises has happened by then.
      await nextTurn();
      expect(pages, `after ${turns} turns`).toMatchObject([{ last: 'a' }]);
      taken.open();
      await next;
      expect(await run.next()).toMatchObject({ done: true });
    }
  });

  it('come page by page, with what needed no transfer counted', async () => {
    const [a0, a1, a2, a3, a4] = objects('a', 5) as [
      ObjectKey,
      ObjectKey,
      ObjectKey,
      ObjectKey,
      ObjectKey,
    ];
    servers.source.bucket.delete(a1);
    servers.destination.bucket.put(a2, { body: Buffer.from('theirs') });
    const pages = planPages([
      [
        [a0, copy],
        [a1, copy],
        [a2, copy],
        [a3, exists],
      ],
      [[a4, ignored]],
    ]);
    expect(inKeyOrder(await collect(stage().run(stream(pages))))).toMatchObject([
      {
        after: BEFORE_ALL,
        last: a3,
        ignored: 0,
        exists: 1,
        outcomes: [
          { kind: 'copied', key: a0 },
          { kind: 'skipped-download', key: a1 },
          { kind: 'skipped-upload', key: a2 },
        ],
      },
      { after: a3, last: a4, ignored: 1, exists: 0, outcomes: [] },
    ]);
    expect(servers.counters).toMatchObject({
      uploaded: 1,
      skippedDownload: 1,
      skippedUpload: 1,
      failed: 0,
      working: 0,
    });
  });

  it('of a failed object are outcomes too', async () => {
    const [a0, a1] = objects('a', 2) as [ObjectKey, ObjectKey];
    source.on('GET', a0).status(403, { code: 'AccessDenied' });
    const pages = await collect(stage().run(stream(planPages([toCopy([a0, a1])]))));
    expect(pages[0]?.outcomes).toMatchObject([
      { kind: 'failed', key: a0, failure: { code: 'AccessDenied', at: NOW } },
      { kind: 'copied', key: a1 },
    ]);
    expect(servers.counters).toMatchObject({ failed: 1, uploaded: 1 });
  });

  it('come in the order in which pages finish', async () => {
    const [slow, ...quick] = [...objects('a', 2), ...objects('b', 2), ...objects('c', 2)];
    const release = hold(slow as ObjectKey);
    const plan = planPages([
      toCopy([slow as ObjectKey, quick[0] as ObjectKey]),
      toCopy(quick.slice(1, 3)),
      toCopy(quick.slice(3)),
    ]);
    const transfer = stage();
    const run = transfer.run(stream(plan));
    const ahead = [await run.next(), await run.next()].map(({ value }) => value as OutcomePage);
    expect(inKeyOrder(ahead).map(({ last }) => last)).toEqual(['b1', 'c1']);
    expect(transfer.oldestUnderWay).toBe(slow);
    release();
    expect(await collect(run)).toMatchObject([{ after: BEFORE_ALL, last: 'a1' }]);
    expect(transfer.oldestUnderWay).toBeUndefined();
  });

  it('of the oldest page come in pieces when one of its objects is slow', async () => {
    const keys = objects('a', 4);
    const release = hold(keys[2] as ObjectKey);
    const run = stage().run(stream(planPages([toCopy(keys)])));
    const { value: piece } = await run.next();
    expect(piece).toMatchObject({ after: BEFORE_ALL, last: 'a1' });
    release();
    expect(await collect(run)).toMatchObject([{ after: 'a1', last: 'a3' }]);
  });

  it('together are the plan, whatever it is', async () => {
    const keys = objects('k', 40);
    const decisions = fc.array(
      fc.tuple(
        fc.constantFrom(copy, copy, exists, ignored, done),
        fc.constantFrom('there', 'missing', 'taken', 'refused'),
      ),
      { maxLength: keys.length },
    );
    const cuts = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 9 });
    source
      .on('GET')
      .where(({ key }) => refused.has(key))
      .status(400, { code: 'InvalidRequest' });
    const refused = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        decisions,
        cuts,
        fc.integer({ min: 1, max: 8 }),
        async (decided, sizes, threads) => {
          const { bucket } = servers.destination;
          for (const key of bucket.keys()) bucket.delete(key);
          refused.clear();
          const expected = new Map<string, string>();
          const plan = decided.map(([decision, state], index): Decided => {
            const key = keys[index] as ObjectKey;
            servers.source.bucket.put(key, { body: Buffer.from(key) });
            if (state === 'missing') servers.source.bucket.delete(key);
            if (state === 'taken') bucket.put(key, { body: Buffer.from('theirs') });
            if (state === 'refused') refused.add(key);
            if (decision === copy) expected.set(key, OUTCOMES[state]);
            return [key, decision];
          });
          const pages = planPages(inPieces(plan, sizes));
          const counters = newCounters();
          const out = inKeyOrder(await collect(stage({ threads, counters }).run(stream(pages))));
          expectChain(out, pages);
          const outcomes = out.flatMap((page) => page.outcomes.map(({ key, kind }) => [key, kind]));
          expect(outcomes).toEqual([...expected]);
          const count = (of: Decision) => plan.filter(([, decision]) => decision === of).length;
          expect(out.reduce((sum, page) => sum + page.exists, 0)).toBe(count(exists));
          expect(out.reduce((sum, page) => sum + page.ignored, 0)).toBe(count(ignored));
          const { uploaded, skippedDownload, skippedUpload, failed, working } = counters;
          expect(uploaded + skippedDownload + skippedUpload + failed).toBe(expected.size);
          expect(working).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  const OUTCOMES = {
    there: 'copied',
    missing: 'skipped-download',
    taken: 'skipped-upload',
    refused: 'failed',
  } as const;
});

function inPieces(plan: readonly Decided[], sizes: readonly number[]): Decided[][] {
  const pieces: Decided[][] = [];
  for (let from = 0, turn = 0; from < plan.length; turn++) {
    // At least one key in every second page, or there would be no end.
    const size = (sizes[turn % sizes.length] as number) + (turn % 2);
    pieces.push(plan.slice(from, from + size));
    from += size;
  }
  return pieces;
}

/** Each page begins where the one before ends, from the plan's beginning to its end. */
function expectChain(out: readonly OutcomePage[], plan: readonly PlanPage[]): void {
  const ranges = out.filter(({ after, last }) => after !== last);
  let after: ObjectKey = BEFORE_ALL;
  for (const range of ranges) {
    expect(range.after).toBe(after);
    after = range.last;
  }
  expect(after).toBe(plan.at(-1)?.last ?? BEFORE_ALL);
}

describe('at once', () => {
  it.each([1, 3, 8])('are under way no more objects than %i threads', async (threads) => {
    let most = 0;
    source
      .on('GET')
      .before(() => {
        most = Math.max(most, servers.counters.working);
      })
      // All that may be begun is begun before the first one ends.
      .before(() => source.seen('GetObject', threads));
    const plan = planPages([toCopy(objects('a', 10)), toCopy(objects('b', 10))]);
    expect(keysOf(await collect(stage({ threads }).run(stream(plan))))).toHaveLength(20);
    expect(most).toBe(threads);
  });

  it('are held no more bytes of content than there is memory for', async () => {
    const body = Buffer.alloc(1000, 'x');
    const keys = objects('a', 20);
    for (const key of keys) servers.source.bucket.put(key, { body });
    let held = 0;
    let most = 0;
    destination
      .on('PUT')
      .before(() => {
        held += body.length;
        most = Math.max(most, held);
      })
      .after(() => {
        held -= body.length;
      })
      .before(() => destination.seen('PutObject', 3))
      .delay(1);
    const limits = { threads: 16, memoryBytes: 3 * body.length + 999 };
    await collect(stage(limits).run(stream(planPages([toCopy(keys)]))));
    expect(servers.destination.bucket.keys()).toEqual(keys);
    expect(most).toBe(3 * body.length);
  });

  it('is read little more than is taken, when nothing needs a transfer', async () => {
    let read = 0;
    async function* endless(): AsyncGenerator<PlanPage> {
      let after: ObjectKey = BEFORE_ALL;
      for (;;) {
        const key = keyFromText(String(read).padStart(9, '0'));
        yield { after, last: key, keys: [key], decisions: Uint8Array.of(exists), listBytes: 0 };
        read++;
        after = key;
      }
    }
    const run = stage().run(endless());
    for (let taken = 0; taken < 100; taken++) await run.next();
    await new Promise((resolve) => void setImmediate(resolve));
    expect(read).toBeLessThan(100 + 20);
    await run.return(undefined);
  });

  it('is read little more than is being copied', async () => {
    const keys = objects('a', 60);
    const release = hold(...keys);
    let read = 0;
    async function* counted(): AsyncGenerator<PlanPage> {
      for (const page of planPages(keys.map((key) => toCopy([key])))) {
        read++;
        yield page;
      }
    }
    const pages = collect(stage({ threads: 4 }).run(counted()));
    await source.seen('GetObject', 4);
    expect(read).toBeLessThanOrEqual(4 + 4 + 1 + 1);
    release();
    expect(keysOf(await pages).toSorted()).toEqual(keys);
  });
});

/** What `pages` are when no further one will ever come, not even their end. */
async function* thenForEver(pages: readonly PlanPage[]): AsyncGenerator<PlanPage> {
  yield* pages;
  await new Promise(() => undefined);
}

describe('an interruption', () => {
  it('lets finish what is under way, and begins nothing more', async () => {
    const keys = objects('a', 20);
    const release = hold(...keys);
    const pages = collect(
      stage({ threads: 3 }).run(
        stream(planPages([toCopy(keys.slice(0, 10)), toCopy(keys.slice(10))])),
      ),
    );
    await source.seen('GetObject', 3);
    interruption.abort('SIGINT');
    release();
    expect(await pages).toMatchObject([{ after: BEFORE_ALL, last: 'a02' }]);
    expect(source.count('GetObject')).toBe(3);
    expect(servers.destination.bucket.keys()).toEqual(keys.slice(0, 3));
    expect(servers.counters).toMatchObject({ working: 0, uploaded: 3 });
  });

  it('does not wait for pages that never come', async () => {
    const keys = objects('a', 2);
    const run = stage().run(thenForEver(planPages([toCopy(keys)])));
    const { value: page } = await run.next();
    expect(page).toMatchObject({ last: 'a1' });
    const end = run.next();
    interruption.abort('SIGINT');
    expect(await end).toEqual({ done: true, value: undefined });
  });

  it('does not sit out a storm of refusals: those keys are left to the next run', async () => {
    const [a0, a1, a2] = objects('a', 3) as [ObjectKey, ObjectKey, ObjectKey];
    destination.on('PUT', a1).status(503, { code: 'SlowDown', retryAfter: 3600 });
    const retry = { ...retryPolicy(interruption.signal, 10), capMs: 3_600_000 };
    const run = stage({ retry }).run(stream(planPages([toCopy([a0, a1, a2])])));
    const pages = collect(run);
    await destination.seen('PutObject', 3);
    interruption.abort('SIGINT');
    expect(await pages).toMatchObject([
      { after: BEFORE_ALL, last: a0 },
      { after: a1, last: a2 },
    ]);
    expect(servers.counters).toMatchObject({ working: 0, uploaded: 2, failed: 0 });
  });

  it('that came before the start lets nothing begin', async () => {
    interruption.abort('SIGINT');
    const plan = planPages([toCopy(objects('a', 2))]);
    expect(await collect(stage().run(stream(plan)))).toEqual([]);
    expect(source.requests).toEqual([]);
  });
});

/** All pages that come before the end, and what that throws. */
async function collectUntilThrown(pages: AsyncIterable<OutcomePage>) {
  const all: OutcomePage[] = [];
  try {
    for await (const page of pages) all.push(page);
  } catch (error) {
    return { pages: inKeyOrder(all), error };
  }
  return expect.unreachable('nothing was thrown');
}

describe('what makes every object fail', () => {
  it('is thrown once all that was under way has been handed on', async () => {
    const keys = objects('a', 20);
    const [a0, bad, a2, a3] = keys as [ObjectKey, ObjectKey, ObjectKey, ObjectKey];
    const release = hold(a0, a2, a3);
    const failure = gate();
    source
      .on('GET', bad)
      .after(failure.open)
      .before(() => source.seen('GetObject', 4))
      .status(404, { code: 'NoSuchBucket' });
    const ended = collectUntilThrown(stage().run(stream(planPages([toCopy(keys)]))));
    await failure.opened;
    release();
    const { pages, error } = await ended;
    expect(error).toMatchObject({ name: 'MigrateError', exitCode: 3 });
    // The key that failed so has no outcome: the next run begins there.
    expect(pages).toMatchObject([
      { after: BEFORE_ALL, last: a0, outcomes: [{ key: a0 }] },
      { after: bad, last: expect.toBeOneOf([a2, a3]), outcomes: expect.anything() },
    ]);
    const copied = servers.destination.bucket.keys();
    expect(keysOf(pages)).toEqual(copied);
    expect(copied.length).toBeLessThan(6);
    expect(servers.counters.working).toBe(0);
  });

  it('is thrown although no further page ever comes', async () => {
    source.on('GET').status(404, { code: 'NoSuchBucket' });
    const run = stage().run(thenForEver(planPages([toCopy(objects('a', 1))])));
    await expect(collect(run)).rejects.toThrow(/bucket does not exist/);
  });
});

describe('a side that refuses all', () => {
  const deny = () => source.on('GetObject').status(403, { code: 'AccessDenied' });

  it('is thrown, and what was refused has no outcome', async () => {
    deny();
    const plan = planPages([toCopy(objects('a', 20)), toCopy(objects('b', 20))]);
    const { pages, error } = await collectUntilThrown(stage().run(stream(plan)));
    expect(error).toMatchObject({ name: 'MigrateError', exitCode: 3 });
    expect(pages).toEqual([]);
    expect(servers.counters).toMatchObject({ working: 0, failed: 0 });
    expect(source.count('GetObject')).toBeLessThan(20);
  });

  it('is waited for when it is asked for its bucket at the very end', async () => {
    deny();
    source.on('HeadBucket').delay(20).status(403);
    const plan = planPages([toCopy(objects('a', 10))]);
    const run = stage({ failures: { hasWorked: true } }).run(stream(plan));
    const { pages, error } = await collectUntilThrown(run);
    expect(error).toMatchObject({ message: expect.stringContaining('the bucket itself') });
    expect(pages).toEqual([]);
  });

  it('is not waited for once the run is interrupted', async () => {
    deny();
    const held = gate();
    source.on('HeadBucket').before(() => held.opened);
    const plan = planPages([toCopy(objects('a', 10))]);
    const pages = collect(stage({ failures: { hasWorked: true } }).run(stream(plan)));
    await source.seen('HeadBucket', 1);
    interruption.abort('SIGINT');
    expect(keysOf(await pages)).toHaveLength(10);
    held.open();
  });

  it('does not keep a few failures back for ever while no further page comes', async () => {
    deny();
    const run = stage().run(thenForEver(planPages([toCopy(objects('a', 3))])));
    const { value: page } = await run.next();
    expect(page).toMatchObject({ last: 'a2', outcomes: [{ kind: 'failed' }, {}, {}] });
    await run.return(undefined);
  });
});

it('throws what the plan throws, once what came before is copied', async () => {
  const keys = objects('a', 20);
  const unsorted = new MigrateError('list.txt:812: out of order', { exitCode: 2 });
  async function* broken(): AsyncGenerator<PlanPage> {
    yield* planPages([toCopy(keys)]);
    throw unsorted;
  }
  const { pages, error } = await collectUntilThrown(stage({ threads: 2 }).run(broken()));
  expect(error).toBe(unsorted);
  expect(keysOf(pages)).toEqual(keys);
});

describe('a consumer that leaves', () => {
  it('ends it all: nothing more is read or begun, and nothing is under way then', async () => {
    const keys = [...objects('a', 2), ...objects('b', 40)];
    const release = hold(...keys.slice(2));
    let closed = false;
    async function* pages(): AsyncGenerator<PlanPage> {
      try {
        for (const page of planPages([
          toCopy(keys.slice(0, 2)),
          ...keys.slice(2).map((key) => toCopy([key])),
        ])) {
          yield page;
        }
      } finally {
        closed = true;
      }
    }
    const run = stage({ threads: 3 }).run(pages());
    await run.next();
    await source.seen('GetObject', 2 + 3);
    const left = run.return(undefined);
    release();
    await left;
    expect(servers.counters.working).toBe(0);
    expect(closed).toBe(true);
    await servers.source.store.headBucket();
    expect(source.count('GetObject')).toBe(2 + 3);
  });

  it('need not wait for pages that never come', async () => {
    const run = stage().run(thenForEver(planPages([toCopy(objects('a', 2))])));
    await run.next();
    await run.return(undefined);
    expect(servers.counters.working).toBe(0);
  });
});
