/**
 * How long properties are searched: S3MIGRATE_TEST_RUNS=100 tries a hundred times as many random cases
 * as an ordinary run of the tests.
 */

const FACTOR = Number(process.env['S3MIGRATE_TEST_RUNS'] ?? 1);

/** @returns how many cases to try instead of so many */
export function runs(ordinarily: number): number {
  return ordinarily * FACTOR;
}
