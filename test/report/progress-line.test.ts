import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newCounters } from '../../src/domain.ts';
import { displayKey, keyFromBytes } from '../../src/object-key.ts';
import { formatProgressLine, type ProgressSample } from '../../src/report/progress-line.ts';

const SAMPLE: ProgressSample = {
  counters: {
    ...newCounters(),
    objects: 1234,
    ignored: 56,
    exists: 89,
    working: 123,
    failed: 2,
    skippedDownload: 3,
    skippedUpload: 4,
    downloaded: 567,
    downloadedBytes: 1_200_000_000,
    uploaded: 560,
    uploadedBytes: 1_100_000_000,
  },
  rates: {
    downloadsPerSecond: 12.3,
    downloadBytesPerSecond: 45_000_000,
    uploadsPerSecond: 12.1,
    uploadBytesPerSecond: 43_000_000,
  },
  fraction: 0.45,
  remainingMs: ((2 * 60 + 34) * 60 + 12) * 1000,
  state: 'running',
};

const REFERENCE =
  'obj=1234 :: ign=56 exist=89 work=123 [45% ~2h:34m:12s] :: fail=2 skip(dn=3 up=4) dnld=567 (12.3/s) dl.byt=1.2GB (45MB/s) upld=560 (12.1/s) ul.byt=1.1GB (43MB/s)';

const NOTHING_YET: ProgressSample = {
  counters: newCounters(),
  rates: {
    downloadsPerSecond: 0,
    downloadBytesPerSecond: 0,
    uploadsPerSecond: 0,
    uploadBytesPerSecond: 0,
  },
  fraction: 0,
  remainingMs: undefined,
  state: 'running',
};

function bracket(change: Partial<ProgressSample>): string | undefined {
  return /\[.*?\]/.exec(formatProgressLine({ ...SAMPLE, ...change }))?.[0];
}

it('reproduces the sample of the reference to the letter', () => {
  expect(formatProgressLine(SAMPLE)).toBe(REFERENCE);
});

it('shows zeros and an unknown end before anything has happened', () => {
  expect(formatProgressLine(NOTHING_YET)).toBe(
    'obj=0 :: ign=0 exist=0 work=0 [0% ~?] :: fail=0 skip(dn=0 up=0) dnld=0 (0.0/s) dl.byt=0B (0B/s) upld=0 (0.0/s) ul.byt=0B (0B/s)',
  );
});

describe('percent and time left', () => {
  it.each([
    [12_000, '[45% ~12s]'],
    [249_000, '[45% ~4m:09s]'],
    [274_259_000, '[45% ~3d:04h:10m]'],
    [undefined, '[45% ~?]'],
    [Infinity, '[45% ~?]'],
  ])('shows %s ms left as %s', (remainingMs, text) => {
    expect(bracket({ remainingMs })).toBe(text);
  });

  it('stays at 99% until the run has ended', () => {
    expect(bracket({ fraction: 1, remainingMs: 0 })).toBe('[99% ~0s]');
    expect(bracket({ fraction: 1, remainingMs: 0, state: 'ended' })).toBe('[100% ~0s]');
  });

  it('does not round a run that ended early up to 100%', () => {
    expect(bracket({ fraction: 0.9999, state: 'ended' })).toBe('[99% ~2h:34m:12s]');
  });
});

describe('a note', () => {
  it('follows the figures', () => {
    const key = keyFromBytes(Buffer.from('a\n\x1b[2Jé😀\xff', 'latin1'));
    const note = `waiting for ${displayKey(key)}`;
    expect(formatProgressLine({ ...SAMPLE, note })).toBe(`${REFERENCE} :: ${note}`);
  });

  it('cannot steer the terminal', () => {
    expect(formatProgressLine({ ...SAMPLE, note: 'x\x1b[2J\u202ey\nz' })).toBe(
      `${REFERENCE} :: x\\x1B[2J\\xE2\\x80\\xAEy z`,
    );
  });
});

describe('the width', () => {
  it('cuts the line at the column', () => {
    expect(formatProgressLine(SAMPLE, 20)).toBe('obj=1234 :: ign=56 e');
    expect(formatProgressLine(SAMPLE, REFERENCE.length)).toBe(REFERENCE);
  });

  it('never splits a character and counts every one that may be wide as two columns', () => {
    const wide = REFERENCE.length + ' :: '.length;
    expect(formatProgressLine({ ...SAMPLE, note: '😀漢' }, wide + 1)).toBe(`${REFERENCE} :: `);
    expect(formatProgressLine({ ...SAMPLE, note: '😀漢' }, wide + 3)).toBe(`${REFERENCE} :: 😀`);
    expect(formatProgressLine({ ...SAMPLE, note: '😀漢' }, wide + 4)).toBe(`${REFERENCE} :: 😀漢`);
  });

  it('is kept for any note, and the cut line is the beginning of the whole one', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.integer({ min: 0, max: 300 }),
        (note, columns) => {
          const whole = formatProgressLine({ ...SAMPLE, note });
          const cut = formatProgressLine({ ...SAMPLE, note }, columns);
          expect(whole.startsWith(cut)).toBe(true);
          expect(cut.length).toBeLessThanOrEqual(columns);
          expect(Buffer.from(cut).toString()).toBe(cut);
        },
      ),
    );
  });
});

it('is one line of fixed shape for any figures', () => {
  const figure = fc.maxSafeNat();
  fc.assert(
    fc.property(
      fc.record({
        objects: figure,
        working: figure,
        downloadedBytes: figure,
        uploadedBytes: figure,
      }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1e15, noNaN: true }),
      fc.double({ min: 0, max: 1e12, noNaN: true }),
      (counters, fraction, remainingMs, bytesPerSecond) => {
        const line = formatProgressLine({
          counters: { ...newCounters(), ...counters },
          rates: { ...SAMPLE.rates, downloadBytesPerSecond: bytesPerSecond },
          fraction,
          remainingMs,
          state: 'running',
        });
        expect(line).toMatch(
          /^obj=\d+ :: ign=\d+ exist=\d+ work=\d+ \[\d{1,2}% ~(?:\?|[\dhdms:]+)\] :: fail=\d+ skip\(dn=\d+ up=\d+\) dnld=\d+ \(\d+\.\d\/s\) dl\.byt=[\d.]+[KMGTP]?B \([\d.]+[KMGTP]?B\/s\) upld=\d+ \(\d+\.\d\/s\) ul\.byt=[\d.]+[KMGTP]?B \([\d.]+[KMGTP]?B\/s\)$/,
        );
      },
    ),
  );
});
