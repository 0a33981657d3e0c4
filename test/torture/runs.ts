/**
 * The runs of a torture as tests, one each: `npm run torture` and the ordinary suite share them.
 *
 * S3MIGRATE_TORTURE_SEED is the seed of the first run, the next one has the next, and so on for
 * S3MIGRATE_TORTURE_RUNS. Two files share them, so that two can be under way at once.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, inject, it } from 'vitest';
import { Tally } from './tally.ts';
import { torture } from './torture-run.ts';

const ORDINARILY = 300;
const RUN_TIMEOUT_MS = 300_000;

/** @param share which of the two files this is */
export function tortureRuns(share: 'even' | 'odd'): void {
  const first = inject('tortureSeed');
  const runs = Number(process.env['S3MIGRATE_TORTURE_RUNS'] ?? ORDINARILY);
  const seeds = Array.from({ length: runs }, (_, index) => first + index).filter(
    (_, index) => index % 2 === (share === 'even' ? 0 : 1),
  );
  const tally = new Tally();
  afterAll(() => writeFile(join(inject('tortureTallies'), `${share}.json`), JSON.stringify(tally)));

  describe('killed and resumed at random, everything ends as the model says', () => {
    it.each(seeds)(
      'seed %i',
      async (seed) => {
        await torture(seed, tally).catch((error: unknown) => {
          tally.violations.push(`seed ${seed}: ${(error as Error).message.split('\n', 1)[0]}`);
          throw error;
        });
      },
      RUN_TIMEOUT_MS,
    );

    it('something was killed, resumed and copied', () => {
      expect(seeds.length === 0 ? [] : tally.unproven).toEqual([]);
    });
  });
}
