import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MovingRate } from '../../src/report/moving-rate.ts';

it('is the rate so far until the window is full', () => {
  const rate = new MovingRate(15_000);
  rate.add(0, 0);
  rate.add(2000, 50);
  expect(rate.perSecond).toBe(25);
  rate.add(5000, 50);
  expect(rate.perSecond).toBe(10);
});

it('does not show the first object of a run as a thousand a second', () => {
  const rate = new MovingRate(15_000);
  rate.add(0, 0);
  rate.add(1, 1);
  expect(rate.perSecond).toBe(1);
});

it('forgets what is older than the window', () => {
  const rate = new MovingRate(15_000);
  rate.add(0, 0);
  rate.add(1000, 1_000_000);
  for (let atMs = 2000; atMs <= 16_000; atMs += 1000) rate.add(atMs, 1_000_000);
  expect(rate.perSecond).toBe(0);
});

it('covers the time since the last reading when readings are further apart than the window', () => {
  const rate = new MovingRate(15_000);
  rate.add(0, 0);
  rate.add(30_000, 3000);
  rate.add(60_000, 3060);
  expect(rate.perSecond).toBe(2);
});

it('is zero before there are two readings', () => {
  const rate = new MovingRate(15_000);
  expect(rate.perSecond).toBe(0);
  rate.add(7, 100);
  expect(rate.perSecond).toBe(0);
  expect(rate.spanMs).toBe(0);
});

const distances = fc.array(fc.integer({ min: 0, max: 4000 }), { minLength: 1, maxLength: 300 });

it('is exact for a constant rate, however the readings are spaced', () => {
  fc.assert(
    fc.property(distances, fc.integer({ min: 0, max: 10_000 }), (gaps, perMs) => {
      const rate = new MovingRate(15_000);
      rate.add(0, 0);
      let atMs = 2000;
      rate.add(atMs, atMs * perMs);
      for (const gap of gaps) {
        atMs += gap;
        rate.add(atMs, atMs * perMs);
      }
      expect(rate.perSecond).toBeCloseTo(perMs * 1000, 6);
    }),
  );
});

it('looks back over the window and at most one thirtieth or one gap more', () => {
  fc.assert(
    fc.property(distances, (gaps) => {
      const rate = new MovingRate(15_000);
      let atMs = 0;
      let longestGap = 0;
      rate.add(atMs, 0);
      for (const gap of gaps) {
        atMs += gap;
        longestGap = Math.max(longestGap, gap);
        rate.add(atMs, 0);
        expect(rate.spanMs).toBeGreaterThanOrEqual(Math.min(atMs, 15_000));
        expect(rate.spanMs).toBeLessThanOrEqual(15_000 + 500 + longestGap);
      }
    }),
  );
});
