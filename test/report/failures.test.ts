import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Outcome, Side } from '../../src/domain.ts';
import { keyFromText } from '../../src/object-key.ts';
import { FailureGroups } from '../../src/report/failures.ts';

function failed(key: string, code: string, side: Side = 'source'): Outcome {
  return {
    kind: 'failed',
    key: keyFromText(key),
    failure: { code, status: 503, attempts: 5, message: `${code} for ${key}`, side, at: 0 },
  };
}

function digestOf(outcomes: readonly Outcome[]) {
  const groups = new FailureGroups();
  for (const outcome of outcomes) groups.add(outcome);
  return groups.digest();
}

describe('failures', () => {
  it('are grouped by code and side, the most frequent first', () => {
    const { groups, other } = digestOf([
      failed('a', 'timeout'),
      failed('b', 'AccessDenied'),
      failed('c', 'AccessDenied'),
      failed('d', 'AccessDenied', 'destination'),
    ]);
    expect(groups.map(({ code, side, count }) => [code, side, count])).toEqual([
      ['AccessDenied', 'source', 2],
      ['timeout', 'source', 1],
      ['AccessDenied', 'destination', 1],
    ]);
    expect(other).toBe(0);
  });

  it('keep the first three keys and messages of a group as examples', () => {
    const { groups } = digestOf(['a', 'b', 'c', 'd'].map((key) => failed(key, 'timeout')));
    expect(groups).toEqual([
      {
        code: 'timeout',
        side: 'source',
        count: 4,
        examples: [
          { key: 'a', message: 'timeout for a' },
          { key: 'b', message: 'timeout for b' },
          { key: 'c', message: 'timeout for c' },
        ],
      },
    ]);
  });

  it('are never lost and never take more than sixteen groups', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 40 })), (codes) => {
        const { groups, other } = digestOf(codes.map((code) => failed('k', `E${code}`)));
        expect(groups.length).toBe(Math.min(16, new Set(codes).size));
        expect(groups.reduce((sum, { count }) => sum + count, other)).toBe(codes.length);
      }),
    );
  });
});

it('counts keys the source does not have, with three examples', () => {
  const outcomes = ['a', 'b', 'c', 'd'].map(
    (key): Outcome => ({ kind: 'skipped-download', key: keyFromText(key), detail: '404' }),
  );
  expect(digestOf(outcomes).skippedDownloads).toEqual({ count: 4, examples: ['a', 'b', 'c'] });
});

it('takes no notice of what went well', () => {
  const key = keyFromText('a');
  expect(digestOf([{ kind: 'copied', key, bytes: 1, etag: 'e', detail: '' }])).toEqual({
    groups: [],
    other: 0,
    skippedDownloads: { count: 0, examples: [] },
    existing: { exists: 0, 'exists-same': 0, 'exists-differs': 0, 'exists-same-length': 0 },
    losses: { objects: 0, kinds: [] },
  });
});

it('counts what was at the destination already, by what is known of it', () => {
  const groups = new FailureGroups();
  for (const detail of ['exists-same', 'exists-same', 'exists-differs', 'exists']) {
    groups.add({ kind: 'skipped-upload', key: keyFromText('a'), detail });
  }
  expect(groups.digest().existing).toEqual({
    exists: 1,
    'exists-same': 2,
    'exists-differs': 1,
    'exists-same-length': 0,
  });
});

it('counts what copied objects go without, by kind, the most frequent first', () => {
  const copied = (detail: string): Outcome => ({
    kind: 'copied',
    key: keyFromText('k'),
    bytes: 1,
    etag: 'e',
    detail,
  });
  const { losses } = digestOf([
    copied('md5; lost: lock'),
    copied('md5'),
    copied('etag-parts; lost: tags redirect'),
    copied('found after a lost answer; lost: tags'),
  ]);
  expect(losses).toEqual({
    objects: 3,
    kinds: [
      { kind: 'tags', count: 2 },
      { kind: 'lock', count: 1 },
      { kind: 'redirect', count: 1 },
    ],
  });
});

it('gives a digest that later failures do not change', () => {
  const groups = new FailureGroups();
  groups.add(failed('a', 'timeout'));
  const digest = groups.digest();
  groups.add(failed('b', 'timeout'));
  expect(digest.groups).toMatchObject([{ count: 1, examples: [{ key: 'a' }] }]);
});
