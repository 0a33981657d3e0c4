import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Counters, newCounters } from '../../src/domain.ts';
import { fractionDone } from '../../src/report/completion.ts';
import { ProgressSampler } from '../../src/report/progress-sampler.ts';

/** A run whose clock and counters the test moves. */
function run({ listBytesAtStart = 0 } = {}) {
  const counters = newCounters();
  const clock = { ms: 1_000_000 };
  const sampler = new ProgressSampler({
    counters,
    now: () => clock.ms,
    listBytesAtStart: () => listBytesAtStart,
  });
  return {
    after: (ms: number, change: Partial<Counters>) => {
      clock.ms += ms;
      Object.assign(counters, change);
      return sampler.sample('running');
    },
  };
}

describe('the share done', () => {
  it('is the list bytes read, less the keys that still wait', () => {
    const counters = { ...newCounters(), listBytes: 500, listBytesTotal: 1000, objects: 100 };
    expect(fractionDone({ ...counters, uploaded: 30, failed: 10 }, 0)).toBe(0.2);
  });

  it('counts every final state as done and transfers under way as not', () => {
    const counters = {
      ...newCounters(),
      listBytes: 1000,
      listBytesTotal: 1000,
      objects: 10,
      ignored: 1,
      exists: 1,
      skippedDownload: 1,
      skippedUpload: 1,
      failed: 1,
      uploaded: 1,
      working: 4,
    };
    expect(fractionDone(counters, 0)).toBeCloseTo(0.6, 12);
  });

  it('takes what lies before the start of a resumed run as done', () => {
    const counters = {
      ...newCounters(),
      listBytes: 700,
      listBytesTotal: 1000,
      objects: 100,
      exists: 50,
    };
    expect(fractionDone(counters, 0.6)).toBeCloseTo(0.65, 12);
    expect(fractionDone({ ...counters, listBytes: 0, objects: 0 }, 0.6)).toBe(0.6);
  });

  it('takes keys that an earlier run had handled as done', () => {
    const counters = { ...newCounters(), listBytes: 1000, listBytesTotal: 1000, done: 7 };
    expect(fractionDone(counters, 0)).toBe(1);
  });

  it('is unknown, and shown as nothing, while the size of the lists is', () => {
    expect(fractionDone(newCounters(), 0)).toBe(0);
  });

  it('is 1 exactly when all lists are read and every key is handled', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.nat(),
        fc.integer({ min: 1, max: 100_000 }),
        fc.nat(),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (listBytesTotal, read, objects, handled, fractionAtStart) => {
          const listBytes = read % (listBytesTotal + 1);
          const uploaded = handled % (objects + 1);
          const fraction = fractionDone(
            { ...newCounters(), listBytes, listBytesTotal, objects, uploaded },
            fractionAtStart,
          );
          expect(fraction).toBeGreaterThanOrEqual(fractionAtStart);
          expect(fraction).toBeLessThanOrEqual(1);
          expect(fraction === 1).toBe(listBytes === listBytesTotal && uploaded === objects);
        },
      ),
    );
  });

  it('never steps back from one sample to the next', () => {
    const { after } = run();
    expect(after(1000, { listBytesTotal: 1000, listBytes: 500, objects: 10, exists: 10 })).toEqual(
      expect.objectContaining({ fraction: 0.5 }),
    );
    expect(after(1000, { listBytes: 510, objects: 20 }).fraction).toBe(0.5);
  });
});

describe('the time left', () => {
  it('is unknown in the first seconds', () => {
    const { after } = run();
    const reading = { listBytesTotal: 1000, listBytes: 100, objects: 100 };
    expect(after(1000, reading).remainingMs).toBeUndefined();
    expect(after(3000, { exists: 50 }).remainingMs).toBeUndefined();
    expect(after(3000, { exists: 100 }).remainingMs).toBe(54_000);
  });

  it('is exact for steady progress, at any speed and from any start', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 900 }),
        fc.integer({ min: 10, max: 500 }),
        fc.integer({ min: 200, max: 30_000 }),
        (listBytesAtStart, steps, stepMs) => {
          const { after } = run({ listBytesAtStart });
          const span = 1000 - listBytesAtStart;
          const listBytesAfter = (step: number): Partial<Counters> => ({
            listBytesTotal: 1000,
            listBytes: listBytesAtStart + (span * step) / steps,
            objects: 1000,
            uploaded: 1000,
          });
          let sample = after(0, listBytesAfter(0));
          for (let step = 1; step < steps; step++) sample = after(stepMs, listBytesAfter(step));
          if ((steps - 1) * stepMs >= 5000) expect(sample.remainingMs).toBeCloseTo(stepMs, 3);
        },
      ),
    );
  });

  it('is not flattered by passing over what an earlier run has done', () => {
    const { after } = run({ listBytesAtStart: 900 });
    after(1000, { listBytesTotal: 1000, listBytes: 900, done: 90_000 });
    after(1000, { listBytes: 1000, objects: 1000 });
    expect(after(10_000, { uploaded: 100 }).remainingMs).toBeGreaterThan(80_000);
  });

  it('follows the last minutes when keys that exist passed quickly before them', () => {
    const { after } = run();
    after(1000, { listBytesTotal: 1000, listBytes: 500, objects: 500, exists: 500 });
    let sample = after(1000, { listBytes: 1000, objects: 1000 });
    for (let uploaded = 1; uploaded <= 100; uploaded++) sample = after(10_000, { uploaded });
    expect(sample.remainingMs).toBeCloseTo(400 * 10_000, 3);
  });

  it('is unknown when nothing has moved for the whole window', () => {
    const { after } = run();
    after(1000, { listBytesTotal: 1000, listBytes: 1000, objects: 1000 });
    expect(after(10_000, { uploaded: 500 }).remainingMs).toBe(10_000);
    expect(after(250_000, {}).remainingMs).toBe(260_000);
    expect(after(400_000, {}).remainingMs).toBeUndefined();
  });

  it('is nothing once all is done', () => {
    const { after } = run();
    const all = { listBytesTotal: 10, listBytes: 10, objects: 1, uploaded: 1 };
    expect(after(100, all).remainingMs).toBe(0);
  });
});

it('takes each rate from its own counter', () => {
  const { after } = run();
  const { rates } = after(2000, {
    downloaded: 20,
    downloadedBytes: 4000,
    uploaded: 10,
    uploadedBytes: 2000,
  });
  expect(rates).toEqual({
    downloadsPerSecond: 10,
    downloadBytesPerSecond: 2000,
    uploadsPerSecond: 5,
    uploadBytesPerSecond: 1000,
  });
});
