/**
 * A store that allows so many requests a second, one that answers late, and one that is down, in simulated
 * time: what is asked of it, and what is waited for.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SideLoad, type SideLoadOptions } from '../../src/load/side-load.ts';
import { keyFromText } from '../../src/object-key.ts';
import { StoreError, type StoreErrorKind } from '../../src/s3/object-store.ts';
import { runs } from '../support/random-runs.ts';

beforeEach(() =>
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
  }),
);
afterEach(() => void vi.useRealTimers());

const now = (): number => Date.now();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const KEY = keyFromText('photos/a.jpg');
const OTHER_KEY = keyFromText('photos/b.jpg');

function failure(kind: StoreErrorKind, code = 'SlowDown', status = 503): StoreError {
  return new StoreError('no', { kind, code, status, mayHaveLanded: false });
}

function sideLoad(changes: Partial<SideLoadOptions> = {}): SideLoad {
  return new SideLoad({
    side: 'destination',
    least: 1,
    most: 64,
    maxOutageMs: 3_600_000,
    othersWait: () => true,
    now,
    onChange: () => {},
    ...changes,
  });
}

interface Limits {
  readonly rate: number;
  /** Seconds' worth of requests that the bucket holds. */
  readonly burst: number;
  readonly latencyMs: number;
}

/** Objects that are sent one after another by as many senders as there are places, to a token bucket. */
class Simulation {
  readonly allowed: number[] = [];
  readonly refused: number[] = [];
  readonly #load: SideLoad;
  readonly #limits: Limits;
  readonly #begunAt = now();
  #tokens: number;
  #filledAt = now();
  #active = 0;
  #objects = 0;

  constructor(load: SideLoad, limits: Limits) {
    this.#load = load;
    this.#limits = limits;
    this.#tokens = this.#most;
    setInterval(() => this.fill(), 5);
  }

  get #most(): number {
    return Math.max(2, this.#limits.rate * this.#limits.burst);
  }

  /** Begins objects in all places that are free. */
  fill(): void {
    while (this.#active < this.#load.places) {
      this.#active++;
      void this.#send().finally(() => {
        this.#active--;
      });
    }
  }

  async #send(): Promise<void> {
    this.#objects++;
    const key = keyFromText(`object ${this.#objects}`);
    for (let attempt = 0; ; attempt++) {
      await this.#load.admit();
      const begunAt = this.#load.begin();
      await sleep(this.#limits.latencyMs);
      if (this.#take()) {
        this.#load.succeeded();
        this.#load.forget(key);
        return;
      }
      this.#load.failed(key, failure('throttled'), begunAt);
      await sleep(Math.min(30_000, 500 * 2 ** attempt) * ((attempt * 7 + this.#active) % 10) * 0.1);
    }
  }

  #take(): boolean {
    const { rate } = this.#limits;
    this.#tokens = Math.min(this.#most, this.#tokens + ((now() - this.#filledAt) / 1_000) * rate);
    this.#filledAt = now();
    const second = Math.floor((now() - this.#begunAt) / 1_000);
    const list = this.#tokens >= 1 ? this.allowed : this.refused;
    list[second] = (list[second] ?? 0) + 1;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

function sum(list: readonly number[], from: number, to: number): number {
  return list.slice(from, to).reduce((total, count) => total + (count ?? 0), 0);
}

describe('a store that allows so many requests a second', () => {
  it('is used to 90 % of them or more once that has settled, and has to refuse less than 2 %', async () => {
    const limits = fc.record({
      rate: fc.integer({ min: 15, max: 400 }),
      burst: fc.constantFrom(0.05, 0.2, 1),
      latencyMs: fc.constantFrom(2, 20, 60),
    });
    await fc.assert(
      fc.asyncProperty(limits, async (limit) => {
        vi.useFakeTimers({
          toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date'],
        });
        const load = sideLoad();
        const simulation = new Simulation(load, limit);
        await vi.advanceTimersByTimeAsync(60_000);
        const allowed = sum(simulation.allowed, 25, 60);
        const refused = sum(simulation.refused, 25, 60);
        const share = allowed / (35 * limit.rate);
        load.close();
        vi.clearAllTimers();
        expect(share).toBeGreaterThanOrEqual(0.9);
        expect(refused / (allowed + refused)).toBeLessThan(0.02);
      }),
      { numRuns: runs(8) },
    );
  });
});

/** So many answers that have each taken so long. */
function answers(load: SideLoad, count: number, latencyMs: number): void {
  for (let i = 0; i < count; i++) {
    load.begin();
    load.measured(latencyMs);
    load.succeeded();
  }
}

describe('the level', () => {
  it('is all places while a store answers as fast as ever', async () => {
    const load = sideLoad();
    for (let i = 0; i < 20; i++) {
      answers(load, 10, 20 + i);
      await vi.advanceTimersByTimeAsync(250);
    }
    expect(load.places).toBe(64);
    load.close();
  });

  it('falls while answers come ever later, and grows back when they do no more', async () => {
    const load = sideLoad();
    answers(load, 10, 20);
    await vi.advanceTimersByTimeAsync(250);
    for (let i = 0; i < 20; i++) {
      answers(load, 10, 900);
      await vi.advanceTimersByTimeAsync(250);
    }
    expect(load.places).toBeLessThan(32);
    for (let i = 0; i < 200; i++) {
      answers(load, 10, 20);
      await vi.advanceTimersByTimeAsync(250);
    }
    expect(load.places).toBe(64);
    load.close();
  });

  it('falls with timeouts, down to the least and no further, and never faster than once a second', async () => {
    const load = sideLoad({ least: 4 });
    for (let i = 0; i < 64; i++) load.begin();
    for (let i = 0; i < 10; i++) load.failed(KEY, failure('network', 'idle-timeout', 0), now());
    expect(load.places).toBe(44);
    for (let i = 0; i < 40; i++) {
      await vi.advanceTimersByTimeAsync(1_000);
      load.failed(KEY, failure('network', 'idle-timeout', 0), now());
    }
    expect(load.places).toBe(4);
    load.close();
  });

  it.each([
    ['a connection that breaks', failure('network', 'closed', 0)],
    ['a 500', failure('unavailable', 'InternalError', 500)],
  ])('does not fall with %s', (_, error) => {
    const load = sideLoad();
    load.begin();
    load.failed(KEY, error, now());
    expect(load.places).toBe(64);
    load.close();
  });
});

describe('a store in trouble', () => {
  const refused = failure('throttled');
  const gone = failure('unreachable', 'connect-failed', 0);
  const answersBucket = { ask: () => Promise.resolve(), sleep };
  const isGone = { ask: () => Promise.reject(gone), sleep };

  function troubled(load: SideLoad, error: StoreError, ...keys: (typeof KEY)[]): void {
    for (const key of keys) {
      load.begin();
      load.failed(key, error, now());
    }
  }

  it('is not to blame for a key that fails alone', async () => {
    const load = sideLoad();
    for (const error of [refused, gone, failure('unavailable', 'InternalError', 500)]) {
      answers(load, 100, 1);
      troubled(load, error, KEY, KEY, KEY);
      expect(await load.outlast({ key: KEY, error, attempt: 3 }, answersBucket)).toBe(false);
    }
    load.close();
  });

  it('is to blame, once for each key, where many others are refused as too many, too', async () => {
    const load = sideLoad();
    troubled(load, refused, KEY);
    for (let i = 0; i < 40; i++) {
      troubled(load, refused, OTHER_KEY);
      answers(load, 1, 1);
    }
    const failed = { key: KEY, error: refused, attempt: 8 };
    expect(await load.outlast(failed, answersBucket)).toBe(true);
    expect(await load.outlast(failed, answersBucket)).toBe(false);
    load.close();
  });

  it.each([gone, refused, failure('unavailable', 'HTTP 502', 502)])(
    'that is gone is waited for, and is told of meanwhile (%s)',
    async (trouble) => {
      const load = sideLoad();
      troubled(load, trouble, KEY, OTHER_KEY);
      let isUp = false;
      const ask = async (): Promise<void> => {
        if (!isUp) throw trouble;
      };
      const waiting = Promise.all([
        load.outlast({ key: KEY, error: trouble, attempt: 8 }, { ask, sleep }),
        load.outlast({ key: KEY, error: trouble, attempt: 8 }, { ask, sleep }),
      ]);
      await vi.advanceTimersByTimeAsync(600_000);
      expect(load.state.down?.forMs).toBe(600_000);
      isUp = true;
      await vi.advanceTimersByTimeAsync(2_000);
      expect(await waiting).toEqual([true, true]);
      expect(load.state.down).toBeUndefined();
      load.close();
    },
  );

  it('that answers but takes nothing is tried again and again, up to the longest outage', async () => {
    const load = sideLoad({ maxOutageMs: 60_000 });
    troubled(load, refused, KEY, OTHER_KEY);
    await vi.advanceTimersByTimeAsync(10_000);
    const again = load.outlast({ key: KEY, error: refused, attempt: 8 }, answersBucket);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await again).toBe(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await load.outlast({ key: KEY, error: refused, attempt: 8 }, answersBucket)).toBe(false);
    load.close();
  });

  it('that is gone for longer than it may be stops the run', async () => {
    const load = sideLoad({ maxOutageMs: 60_000 });
    troubled(load, gone, KEY);
    const stopped = expect(
      load.outlast({ key: KEY, error: gone, attempt: 8 }, isGone),
    ).rejects.toMatchObject({
      name: 'MigrateError',
      exitCode: 3,
      message: 'the destination has not answered for 62 s (no)',
    });
    await vi.advanceTimersByTimeAsync(62_000);
    await stopped;
    load.close();
  });

  it('is asked for as much as before once it is back', async () => {
    const load = sideLoad();
    answers(load, 50, 1);
    for (let i = 0; i < 30; i++) {
      troubled(load, refused, KEY, OTHER_KEY);
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(load.state.perSecond).toBeLessThan(100);
    answers(load, 1, 1);
    expect(load.state.perSecond).toBeUndefined();
    load.close();
  });

  it('that was gone since a key began to fail is to blame for all that it has spent, once for each time', async () => {
    const load = sideLoad();
    const failed = { key: KEY, error: refused, attempt: 8 };
    for (let outage = 0; outage < 2; outage++) {
      const otherKey = keyFromText(`in outage ${outage}`);
      troubled(load, refused, KEY, otherKey);
      await vi.advanceTimersByTimeAsync(5_000);
      const other = load.outlast({ ...failed, key: otherKey }, isGone);
      await vi.advanceTimersByTimeAsync(1_000);
      answers(load, 10, 1);
      await vi.advanceTimersByTimeAsync(5_000);
      expect(await other).toBe(true);
      troubled(load, refused, KEY);
      expect(await load.outlast(failed, answersBucket)).toBe(true);
      expect(await load.outlast(failed, answersBucket)).toBe(false);
    }
    load.close();
  });

  it('that answers is not to blame for keys that go on failing when all others are through', async () => {
    const load = sideLoad();
    troubled(load, refused, KEY, OTHER_KEY);
    answers(load, 10, 1);
    for (const error of [refused, gone]) {
      troubled(load, error, KEY, OTHER_KEY);
      await vi.advanceTimersByTimeAsync(10_000);
      for (const key of [KEY, OTHER_KEY, KEY]) {
        expect(await load.outlast({ key, error, attempt: 8 }, answersBucket)).toBe(false);
        troubled(load, error, key);
      }
    }
    load.close();
  });

  it('that answers is not to blame for the last few objects, which alone are refused', async () => {
    const load = sideLoad({ othersWait: () => false });
    troubled(load, refused, KEY, OTHER_KEY);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await load.outlast({ key: KEY, error: refused, attempt: 8 }, answersBucket)).toBe(false);
    load.close();
  });
});
