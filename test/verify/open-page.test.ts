import fc from 'fast-check';
import { expect, it } from 'vitest';
import { keysVerified, type VerifiedKey } from '../../src/findings.ts';
import type { ObjectKey } from '../../src/object-key.ts';
import { OpenPage } from '../../src/verify/open-page.ts';

const SAME: VerifiedKey = { state: 'same', findings: [] };
const MISSING: VerifiedKey = {
  state: 'missingOnSource',
  findings: [{ symbol: '-', what: 'missing', source: '', destination: '1' }],
};
const KEYS = Array.from('abcdefgh') as ObjectKey[];

it('hands each key on once and in order, whatever order they are done in', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([...KEYS.keys()], { minLength: KEYS.length }), (order) => {
      const page = new OpenPage(KEYS);
      let taken = 0;
      for (const [done, index] of order.entries()) {
        page.finish(index, MISSING);
        const handedOn = page.takeDone();
        const finished = new Set(order.slice(0, done + 1));
        const expected: ObjectKey[] = [];
        while (finished.has(taken)) expected.push(KEYS[taken++] as ObjectKey);
        expect(handedOn?.found.map(({ key }) => key) ?? []).toEqual(expected);
        expect(handedOn?.last).toBe(expected.at(-1));
        expect(page.done).toBe(done === KEYS.length - 1);
      }
    }),
  );
});

it('tells only of keys with findings, and counts all', () => {
  const page = new OpenPage(KEYS);
  for (const index of KEYS.keys()) page.finish(index, index === 3 ? MISSING : SAME);
  const { found, totals } = page.takeDone() as NonNullable<ReturnType<OpenPage['takeDone']>>;
  expect(found).toEqual([{ key: 'd', findings: MISSING.findings }]);
  expect(totals).toMatchObject({ same: 7, missingOnSource: 1 });
  expect(keysVerified(totals)).toBe(8);
  expect(page.takeDone()).toBeUndefined();
});

it('gives keys to begin in order, without those that are done', () => {
  const page = new OpenPage(KEYS.slice(0, 4));
  page.finish(0, SAME);
  page.finish(2, SAME);
  expect(page.beginNext()).toBe(1);
  expect(page.begun).toBe(false);
  expect(page.beginNext()).toBe(3);
  expect(page.beginNext()).toBeUndefined();
  expect(page.begun).toBe(true);
});
