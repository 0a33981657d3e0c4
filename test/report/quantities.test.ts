import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatPerSecond,
} from '../../src/report/quantities.ts';

describe('bytes', () => {
  it.each([
    [0, '0B'],
    [9, '9B'],
    [999, '999B'],
    [999.4, '999B'],
    [999.6, '1.0KB'],
    [1000, '1.0KB'],
    [1234, '1.2KB'],
    [9949, '9.9KB'],
    [9960, '10KB'],
    [45_000_000, '45MB'],
    [999_499, '999KB'],
    [999_500, '1.0MB'],
    [999_999_999, '1.0GB'],
    [1_200_000_000, '1.2GB'],
    [5e12, '5.0TB'],
    [Number.MAX_SAFE_INTEGER, '9.0PB'],
  ])('shows %d as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it('takes at most three digits and never shows 1000 of a unit', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(formatBytes(bytes)).toMatch(/^(?:\d{1,3}B|(?:\d\.\d|[1-9]\d{1,2})[KMGTP]B)$/);
      }),
    );
  });

  it('is within six percent of the value', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        const [, amount, unit] = /^([\d.]+)([KMGTP]?)B$/.exec(formatBytes(bytes)) ?? [];
        const shown = Number(amount) * 1000 ** ['', 'K', 'M', 'G', 'T', 'P'].indexOf(unit ?? '');
        expect(Math.abs(shown - bytes)).toBeLessThanOrEqual(bytes * 0.06);
      }),
    );
  });
});

describe('durations', () => {
  it.each([
    [0, '0s'],
    [499, '0s'],
    [59_400, '59s'],
    [59_500, '1m:00s'],
    [249_000, '4m:09s'],
    [3_599_999, '1h:00m:00s'],
    [9_252_000, '2h:34m:12s'],
    [86_399_000, '23h:59m:59s'],
    [86_400_000, '1d:00h:00m'],
    [274_259_000, '3d:04h:10m'],
  ])('shows %d ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

it('shows a rate with one decimal and a count with its thousands apart', () => {
  expect(formatPerSecond(0)).toBe('0.0/s');
  expect(formatPerSecond(12.34)).toBe('12.3/s');
  expect(formatPerSecond(4210)).toBe('4210.0/s');
  expect(formatCount(0)).toBe('0');
  expect(formatCount(1_234_567)).toBe('1,234,567');
});
