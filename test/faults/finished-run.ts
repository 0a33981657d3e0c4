/**
 * One run of the built program to its end, under whatever faults the test has scripted, and what must hold of
 * every such run: the four invariants, no upload left over, and an exit code that tells of failures.
 */
import { expect } from 'vitest';
import type { Flags, Migration } from '../cli/migration.ts';
import type { Ended } from '../support/run-s3migrate.ts';
import type { FailedKey, Invariants } from './invariants.ts';

export interface FinishedRun extends Pick<Ended, 'exitCode' | 'stderr'> {
  /** `copied md5`, `failed BadDigest`, `skipped-download NoSuchKey`, by key. */
  readonly outcomes: Readonly<Record<string, string>>;
  /** The lines of failed.log by key. */
  readonly failures: ReadonlyMap<string, FailedKey>;
}

/** @param invariants - made before the first run of this migration */
export async function finish(
  migration: Migration,
  invariants: Invariants,
  flags: Flags = {},
): Promise<FinishedRun> {
  return finished(migration, invariants, await migration.run(flags));
}

/** For a run that the test has started itself, and that has come to the end of its lists. */
export async function finished(
  migration: Migration,
  invariants: Invariants,
  { exitCode, stderr }: Ended,
): Promise<FinishedRun> {
  const { migrate, failed } = await invariants.expectComplete();
  expect(migration.destination.bucket.uploads()).toEqual([]);
  expect(stderr).toContain('every listed key is accounted for');
  if (failed.length > 0) expect(exitCode).toBe(1);
  return {
    exitCode,
    stderr,
    outcomes: Object.fromEntries(
      migrate.map(({ key, outcome, detail }) => [key, `${outcome} ${detail}`]),
    ),
    failures: new Map(failed.map((failure) => [failure.key, failure])),
  };
}
