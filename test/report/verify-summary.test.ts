import { expect, it } from 'vitest';
import { NOTHING_VERIFIED, newVerifyCounters, type VerifyTotals } from '../../src/findings.ts';
import type { ObjectKey } from '../../src/object-key.ts';
import {
  FindingExamples,
  formatVerifySummary,
  type VerifySummaryInput,
} from '../../src/report/verify-summary.ts';

function summary(some: Partial<VerifyTotals>, more: Partial<VerifySummaryInput> = {}): string[] {
  const totals = { ...NOTHING_VERIFIED, ...some };
  const text = formatVerifySummary({
    end: { kind: 'complete' },
    totals,
    examples: new FindingExamples(),
    counters: newVerifyCounters(totals, 0),
    keysNow: 1000,
    elapsedMs: 2000,
    logFolder: 'logs',
    ...more,
  });
  return text.trimEnd().split('\n');
}

it('is five lines when nothing differs', () => {
  expect(summary({ same: 1000, ignored: 24 })).toEqual([
    's3migrate: verified in 2s: no difference',
    '  objects   obj 1,024: ign 24, same 1,000, unproven 0, + 0, - 0, * 0, ! 0, gone 0',
    '            every listed key is accounted for',
    '  compared  1,000 objects (500.0/s on average)',
    '  logs      logs: verify.log, verify.run.json',
  ]);
});

it('names what is at fault with three examples, safe for a terminal', () => {
  const examples = new FindingExamples();
  const keys = ['a\x1b[2J', 'b', 'c', 'd'] as ObjectKey[];
  examples.add({
    last: 'd' as ObjectKey,
    found: keys.map((key) => ({
      key,
      findings: [
        { symbol: '*', what: 'size', source: '1', destination: '2' },
        { symbol: '*', what: 'tags', source: '', destination: '' },
      ],
    })),
    totals: NOTHING_VERIFIED,
  });
  const lines = summary({ same: 4, differ: 4 }, { examples });
  expect(lines[0]).toBe('s3migrate: verified in 2s: 4 objects DIFFER or cannot be read');
  expect(lines.slice(4, 9)).toEqual([
    '  *         4 objects different:',
    String.raw`      a\x1B[2J: size tags`,
    '      b: size tags',
    '      c: size tags',
    '      and 1 more',
  ]);
  expect(lines.at(-1)).toContain('new --log-folder');
});

it('says of a run that broke off what is left, and how to go on', () => {
  const counters = newVerifyCounters({ ...NOTHING_VERIFIED, same: 10 }, 0);
  counters.objects = 64;
  const lines = summary({ same: 10 }, { end: { kind: 'interrupted', signal: 'SIGINT' }, counters });
  expect(lines[0]).toBe('s3migrate: interrupted by Ctrl-C after 2s: no difference so far');
  expect(lines[2]).toContain('54 keys read but not recorded');
  expect(lines.at(-1)).toContain('give the same command again');
  const stopped = { kind: 'stopped', cause: 'the disk is full', hint: 'Free some space.' } as const;
  expect(summary({}, { end: stopped }).slice(-2)).toEqual([
    '  next      Free some space.',
    '  then      give the same command again: it goes on where this run ended',
  ]);
});

it('does not hide keys without a result', () => {
  const counters = newVerifyCounters(NOTHING_VERIFIED, 0);
  counters.objects = 1;
  expect(summary({}, { counters })[2]).toContain(
    'NOT ACCOUNTED FOR: 1 listed key without a result',
  );
});
