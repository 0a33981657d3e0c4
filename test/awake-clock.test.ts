import { expect, it } from 'vitest';
import { AwakeClock } from '../src/awake-clock.ts';

function clockAt(start: number): { at: (ms: number) => number; stills: number[] } {
  let time = start;
  const stills: number[] = [];
  const clock = new AwakeClock({
    monotonic: () => time,
    everyMs: 500,
    onStill: (ms) => stills.push(ms),
  });
  return {
    stills,
    at: (ms) => {
      time = ms;
      return clock.now();
    },
  };
}

it('passes as the clock below it does while it is asked often enough', () => {
  const { at } = clockAt(7_000);
  expect([7_000, 7_500, 8_900, 8_901].map(at)).toEqual([7_000, 7_500, 8_900, 8_901]);
});

it('takes a stretch in which nobody asked for one interval', () => {
  const { at, stills } = clockAt(0);
  expect(at(500)).toBe(500);
  expect(at(3_600_500)).toBe(1_000);
  expect(at(3_601_000)).toBe(1_500);
  expect(stills).toEqual([3_600_000]);
});

it('passes also where every turn takes too long', () => {
  const { at } = clockAt(0);
  for (let turn = 1; turn <= 100; turn++) at(turn * 5_000);
  expect(at(500_000)).toBe(50_000);
});
