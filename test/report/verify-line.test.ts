import { expect, it } from 'vitest';
import { NOTHING_VERIFIED, newVerifyCounters } from '../../src/findings.ts';
import { VerifyLine } from '../../src/report/verify-line.ts';

function givenLine() {
  const counters = newVerifyCounters(NOTHING_VERIFIED, 1000);
  let nowMs = 0;
  const line = new VerifyLine({ counters, now: () => nowMs });
  return {
    counters,
    line,
    at: (ms: number): VerifyLine => {
      nowMs = ms;
      return line;
    },
  };
}

it('tells each state, the pace, and how much of both lists is done', () => {
  const { counters, at } = givenLine();
  Object.assign(counters, { objects: 100, working: 4, listBytes: 200, comparedBytes: 3_000_000 });
  Object.assign(counters.totals, { ignored: 10, same: 60, unproven: 5, missingOnDestination: 4 });
  Object.assign(counters.totals, { missingOnSource: 3, differ: 2, error: 1, gone: 5 });
  expect(at(3000).text('running')).toBe(
    'obj=100 :: ign=10 same=60 unproven=5 work=4 [18% ~?] :: +4 -3 *2 !1 gone=5 (30.0/s) cmp.byt=3.0MB (1.0MB/s)',
  );
});

it('estimates the rest by the pace so far, and never steps back', () => {
  const { counters, at } = givenLine();
  for (const second of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) {
    Object.assign(counters, { objects: second * 10, listBytes: second * 50 });
    counters.totals.same = second * 10;
    at(second * 1000).text('running');
  }
  expect(at(10_000).text('running')).toContain('[50% ~10s]');
  counters.objects = 200;
  expect(at(10_000).text('running')).toContain('[50% ');
});

it('is at 100% only when it has ended, and fits its columns', () => {
  const { counters, at } = givenLine();
  Object.assign(counters, { objects: 10, listBytes: 1000 });
  counters.totals.same = 10;
  expect(at(1000).text('running')).toContain('[99% ~0s]');
  expect(at(1000).text('ended')).toContain('[100% ~0s]');
  expect(at(1000).text('ended', 20)).toBe('obj=10 :: ign=0 same');
});
