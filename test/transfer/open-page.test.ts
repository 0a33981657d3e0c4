/**
 * A page under way: whatever order its transfers end in, its pieces are the page.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decision, type Outcome, type OutcomePage } from '../../src/domain.ts';
import { keyFromText, type ObjectKey } from '../../src/object-key.ts';
import { OpenPage } from '../../src/transfer/open-page.ts';
import { type Decided, planPage } from './plan-pages.ts';

const start = keyFromText('a');
const keyAt = (index: number) => keyFromText(`k${String(index).padStart(2, '0')}`);
const copied = (key: ObjectKey): Outcome => ({
  kind: 'copied',
  key,
  bytes: 1,
  etag: 'e',
  detail: 'md5',
});
const pageOf = (decisions: readonly Decision[]) => {
  const decided = decisions.map((decision, index): Decided => [keyAt(index), decision]);
  return planPage(decided, start);
};
const { transfer, exists, ignored, done } = Decision;

it('is done at once without transfers', () => {
  const page = new OpenPage(pageOf([exists, ignored, done, exists]));
  expect(page.done).toBe(true);
  expect(page.takeDone()).toEqual({
    after: start,
    last: keyAt(3),
    ignored: 1,
    exists: 2,
    outcomes: [],
  });
});

it('is done at once without keys, and keeps its range', () => {
  const border = keyFromText('z');
  const page = new OpenPage({ ...planPage([], start), last: border });
  expect(page.takeDone()).toMatchObject({ after: start, last: border, outcomes: [] });
});

it('names the first key that has no outcome yet', () => {
  const page = new OpenPage(pageOf([exists, transfer, transfer]));
  expect(page.firstUnfinished()).toBe(keyAt(1));
  page.finish(1, copied(keyAt(1)));
  expect(page.firstUnfinished()).toBe(keyAt(2));
  page.finish(2, copied(keyAt(2)));
  expect(page.firstUnfinished()).toBeUndefined();
});

it('gives nothing while its first key is under way', () => {
  const page = new OpenPage(pageOf([transfer, transfer]));
  page.finish(1, copied(keyAt(1)));
  expect(page.takeDone()).toBeUndefined();
});

describe('the rest, once nothing more is finished,', () => {
  it('has the keys behind one that has no outcome, as pages of their own', () => {
    const page = new OpenPage(pageOf([transfer, exists, transfer, transfer, exists, transfer]));
    for (const index of [0, 3]) page.finish(index, copied(keyAt(index)));
    expect([...page.takeRest()]).toEqual([
      { after: start, last: keyAt(1), ignored: 0, exists: 1, outcomes: [copied(keyAt(0))] },
      { after: keyAt(2), last: keyAt(4), ignored: 0, exists: 1, outcomes: [copied(keyAt(3))] },
    ]);
  });

  it('ends with the range of the page when the last key is done', () => {
    const last = keyFromText('z');
    const page = new OpenPage({ ...pageOf([transfer, transfer]), last });
    page.finish(1, copied(keyAt(1)));
    expect([...page.takeRest()]).toEqual([
      { after: keyAt(0), last, ignored: 0, exists: 0, outcomes: [copied(keyAt(1))] },
    ]);
  });

  it('has no page for keys that needed nothing, behind one that has no outcome', () => {
    const page = new OpenPage(pageOf([transfer, exists, transfer, ignored]));
    expect([...page.takeRest()]).toEqual([]);
  });
});

const decisions = fc.array(fc.constantFrom(transfer, exists, ignored, done), { maxLength: 30 });

/** Finishes some of the page's transfers in a random order, taking what is done in between. */
function run(page: OpenPage, order: readonly number[], share: number, takes: Iterator<boolean>) {
  const pieces: OutcomePage[] = [];
  const indices = [...page.transfers()];
  const shuffled = indices.toSorted((a, b) => (order[a] as number) - (order[b] as number));
  const finished = shuffled.slice(0, Math.ceil(shuffled.length * share));
  for (const index of finished) {
    page.finish(index, copied(page.keyAt(index)));
    if (page.done || takes.next().value !== true) continue;
    const piece = page.takeDone();
    if (piece !== undefined) pieces.push(piece);
  }
  return { pieces, finished: finished.toSorted((a, b) => a - b) };
}

const orders = fc.array(fc.nat(), { minLength: 30, maxLength: 30 });

it('falls into pieces that chain and together are the page', () => {
  fc.assert(
    fc.property(decisions, orders, fc.infiniteStream(fc.boolean()), (decided, order, takes) => {
      const plan = { ...pageOf(decided), last: keyFromText('z') };
      const page = new OpenPage(plan);
      const { pieces } = run(page, order, 1, takes);
      expect(page.done).toBe(true);
      pieces.push(page.takeDone() as OutcomePage);
      let { after } = plan;
      for (const piece of pieces) {
        expect(piece.after).toBe(after);
        for (const { key } of piece.outcomes) {
          expect(key > piece.after && key <= piece.last).toBe(true);
        }
        after = piece.last;
      }
      expect(after).toBe(plan.last);
      const count = (of: Decision) => decided.filter((decision) => decision === of).length;
      const sum = (of: 'ignored' | 'exists') => pieces.reduce((total, p) => total + p[of], 0);
      expect(sum('ignored')).toBe(count(ignored));
      expect(sum('exists')).toBe(count(exists));
      const toTransfer = plan.keys.filter((_, index) => decided[index] === transfer);
      expect(pieces.flatMap(({ outcomes }) => outcomes.map(({ key }) => key))).toEqual(toTransfer);
    }),
  );
});

it('gives every outcome once, and no key without one, when it ends half-way', () => {
  fc.assert(
    fc.property(
      decisions,
      orders,
      fc.double({ min: 0, max: 0.9, noNaN: true }),
      fc.infiniteStream(fc.boolean()),
      (decided, order, share, takes) => {
        const page = new OpenPage(pageOf(decided));
        const { pieces, finished } = run(page, order, share, takes);
        if (page.done) return;
        pieces.push(...page.takeRest());
        const outcomes = pieces.flatMap((piece) => piece.outcomes.map(({ key }) => key));
        expect(outcomes).toEqual(finished.map(keyAt));
        const unfinished = decided.flatMap((decision, index) =>
          decision === transfer && !finished.includes(index) ? [keyAt(index)] : [],
        );
        for (const key of unfinished) {
          expect(pieces.some(({ after, last }) => key > after && key <= last)).toBe(false);
        }
      },
    ),
  );
});
