/**
 * Which uploads may be the one whose creation was not answered: told by the store's clock, which may be another.
 */
import { expect, it } from 'vitest';
import { unnamedUploads } from '../../../src/transfer/parts/unnamed-uploads.ts';
import { NOW } from '../two-servers.ts';

const MINUTE = 60_000;
const intendedAt = NOW + 700;

/** Ids of what is taken for ours, of uploads named by the ms between the intent and their beginning. */
function taken(betweenMs: readonly number[], { aheadMs = 0, named = ['-'] } = {}): string[] {
  const uploads = betweenMs.map((ms) => ({
    uploadId: String(ms),
    initiatedAt: intendedAt + aheadMs + ms,
  }));
  const now = NOW + 60 * MINUTE;
  // A Date header has whole seconds.
  const answeredAt = Math.floor((now + aheadMs) / 1000) * 1000;
  const listing = { uploads, answeredAt };
  return unnamedUploads({ intent: { intendedAt }, listing, named: new Set(named), now }).map(
    ({ uploadId }) => uploadId,
  );
}

it('those begun since, also within the same second, are', () => {
  expect(taken([-MINUTE, -800, -700, 0, 5, MINUTE])).toEqual(['-700', '0', '5', '60000']);
});

it('those that are named are not', () => {
  expect(taken([0, 1, 2], { named: ['1'] })).toEqual(['0', '2']);
});

it.each([20 * MINUTE, -20 * MINUTE, 5_000, -5_000])(
  'a clock that is %i ms ahead is allowed for',
  (aheadMs) => {
    expect(taken([-MINUTE, -4_000, 0, 1_000], { aheadMs })).toEqual(['0', '1000']);
  },
);

it('a store that does not tell its time is taken to have ours', () => {
  const listing = {
    uploads: [{ uploadId: 'ours', initiatedAt: intendedAt }],
    answeredAt: undefined,
  };
  const named = new Set<string>();
  expect(unnamedUploads({ intent: { intendedAt }, listing, named, now: NOW })).toHaveLength(1);
});
