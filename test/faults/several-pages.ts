/**
 * A migration whose list takes several pages, of which every 25th key is to be copied: what is recorded page
 * by page can be seen without copying thousands of objects.
 */

import { expect } from 'vitest';
import { type Flags, type Migration, photo, prepareMigration } from '../cli/migration.ts';
import { type Ended } from '../support/run-s3migrate.ts';
import { Invariants, type Logs, readLogs } from './invariants.ts';

const LISTED = 8000;
const EVERY = 25;
/** Of the keys to be copied, which are refused by the source. */
const FAILING_EVERY = 20;

export class SeveralPages {
  readonly migration: Migration;
  readonly invariants: Invariants;
  /** In key order. */
  readonly toCopy: readonly string[];
  /** Of those, what the source refuses for as long as {@link mendSource} is not called. */
  readonly failing: readonly string[];

  constructor(migration: Migration, toCopy: readonly string[]) {
    this.migration = migration;
    this.invariants = new Invariants(migration);
    this.toCopy = toCopy;
    this.failing = toCopy.filter((_, i) => i % FAILING_EVERY === FAILING_EVERY - 1);
    const refused = new Set(this.failing);
    migration.source.script
      .on('GetObject')
      .where(({ key }) => refused.has(key))
      .status(403, { code: 'InvalidObjectState' });
  }

  /** The same command, to its end: nothing recorded is read again, and the logs say the truth about all keys. */
  async expectContinues(changes: Flags = {}): Promise<Ended> {
    const before = await readLogs(this.migration.logFolder);
    this.migration.source.script.requests.length = 0;
    const end = await this.migration.run(changes);
    expect(end.stderr).toContain('every listed key is accounted for');
    expect(end.exitCode).toBe(1);
    await this.expectAllRecorded();
    this.#expectNotReadAgain(before);
    return end;
  }

  async expectAllRecorded(): Promise<Logs> {
    const logs = await this.invariants.expectComplete();
    expect(logs.migrate.map(({ key }) => key)).toEqual(this.toCopy);
    expect(logs.failed.map(({ key }) => key)).toEqual(this.failing);
    const { bucket } = this.migration.destination;
    expect(bucket.keys()).toEqual(this.toCopy.filter((key) => !this.failing.includes(key)));
    return logs;
  }

  #expectNotReadAgain({ migrate }: Logs): void {
    const read = new Set<string>(this.migration.source.script.requests.map(({ key }) => key));
    expect(migrate.map(({ key }) => key).filter((key) => read.has(key))).toEqual([]);
  }
}

export async function givenSeveralPages(): Promise<SeveralPages> {
  const migration = await prepareMigration();
  const keys = Array.from({ length: LISTED }, (_, i) => photo(i));
  const toCopy = keys.filter((_, i) => i % EVERY === 0);
  for (const key of toCopy) migration.source.put(key, `bytes of ${key}`);
  await migration.listKeys('src', keys);
  await migration.listKeys(
    'dest',
    keys.filter((_, i) => i % EVERY !== 0),
  );
  return new SeveralPages(migration, toCopy);
}
