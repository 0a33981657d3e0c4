/**
 * T20: this host's clock is not the stores', or is set while a run goes on. Signatures follow the stores' clock, or the
 * run stops and says so; what is measured is measured by another clock.
 */
import { expect, test } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { type Migration, prepareMigration, type Side } from '../cli/migration.ts';
import { KINDS, type Kind, objectOf, PROOF } from './destination-scene.ts';
import { FakeClock } from './fake-clock.ts';
import { Invariants } from './invariants.ts';

interface Given {
  readonly migration: Migration;
  readonly invariants: Invariants;
  readonly clock: FakeClock;
}

const OF_EACH_KIND = 4;

async function given(): Promise<Given> {
  const migration = await prepareMigration();
  for (const kind of KINDS) {
    for (let i = 0; i < OF_EACH_KIND; i++) {
      const key = `${kind}-${i}`;
      migration.source.bucket.put(key as ObjectKey, objectOf(kind, key));
    }
  }
  await migration.listKeys();
  return { migration, invariants: new Invariants(migration), clock: new FakeClock(migration) };
}

async function expectAllCopied({ migration, invariants }: Given): Promise<void> {
  const { migrate, failed } = await invariants.expectComplete();
  expect(failed).toEqual([]);
  expect(migrate).toHaveLength(KINDS.length * OF_EACH_KIND);
  for (const { key, outcome, detail } of migrate) {
    expect([key, outcome, detail]).toEqual([key, 'copied', PROOF[key.split('-')[0] as Kind]]);
  }
  expect(migration.destination.bucket.uploads()).toEqual([]);
}

/** No time that was measured is negative or absurd. */
function expectSaneTimes(stderr: string): void {
  expect(stderr).toMatch(/complete in \d{1,2}s\n/);
  expect(stderr).not.toMatch(/NaN|Infinity|-\d+(?:\.\d+)?(?:\/s|s\b|[KMGT]?B\b)/);
}

for (const cores of [1, 2]) {
  test.each(['+10m', '-10m', '+1d', '-1d', '+1y'])(
    `T20: a clock that is %s off copies all the same (--cores ${cores})`,
    async (ahead) => {
      const all = await given();
      await all.clock.set(ahead);

      const { exitCode, stderr } = await all.clock.start({ cores }).ended;

      expect(exitCode, stderr).toBe(0);
      await expectAllCopied(all);
      expectSaneTimes(stderr);
    },
  );

  test.each([
    ['+10m', '-10m'],
    ['+1d', '-1d'],
    ['-1d', '+1d'],
  ])(
    `T20: a clock that jumps to %s in the middle of a run, and then to %s, is followed (--cores ${cores})`,
    async (first, second) => {
      const all = await given();
      const { clock, migration } = all;
      await clock.set('+0');
      // In each of them an object of each kind is under way.
      migration.source.script
        .on('GET', 'parts-1')
        .before(() => clock.set(first))
        .times(1);
      migration.source.script
        .on('GET', 'through-2')
        .before(() => clock.set(second))
        .times(1);

      const { exitCode, stderr } = await clock.start({ cores, threads: 2 }).ended;

      expect(exitCode, stderr).toBe(0);
      await expectAllCopied(all);
      expectSaneTimes(stderr);
    },
  );
}

const withoutDate = ({ script }: Side): void => {
  for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE'] as const) {
    script.on(method).before(({ response }) => {
      response.sendDate = false;
    });
  }
};

test.each(['+1d', '-1d'])(
  'T20: a clock that is %s off, and a store that does not tell its own, stop the run with a word about the clock',
  async (ahead) => {
    const { migration, clock } = await given();
    withoutDate(migration.destination);
    await clock.set(ahead);

    const { exitCode, stderr } = await clock.start().ended;

    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/^s3migrate: destination \S+: access denied/);
    expect(stderr).toContain("this host's clock (date -u)");
    expect(migration.writesSeen()).toBe(0);
  },
);

test('T20: a clock that jumps while a refused object waits does not change how long it waits', async () => {
  const all = await given();
  const { clock, migration } = all;
  await clock.set('+0');
  migration.destination.script
    .on('PUT')
    .before(() => clock.set('-1d'))
    .status(503, { code: 'SlowDown' })
    .times(8);

  const { exitCode, stderr } = await clock.start().ended;

  expect(exitCode, stderr).toBe(0);
  await expectAllCopied(all);
  expectSaneTimes(stderr);
});
