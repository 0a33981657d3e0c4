/**
 * What an operator has before a verification: two buckets, the lists of both, and the command.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Ended,
  type RunningProgram,
  runProgram,
  startProgram,
} from '../support/run-s3migrate.ts';
import {
  type Flags,
  type Migration,
  type MigrationOptions,
  prepareMigration,
} from './migration.ts';

export async function prepareVerification(options: MigrationOptions = {}): Promise<Verification> {
  return new Verification(await prepareMigration(options));
}

export class Verification {
  readonly migration: Migration;

  constructor(migration: Migration) {
    this.migration = migration;
  }

  get source(): Migration['source'] {
    return this.migration.source;
  }

  get destination(): Migration['destination'] {
    return this.migration.destination;
  }

  /** The same object in both buckets. */
  putBoth(...put: Parameters<Migration['source']['put']>): void {
    this.source.put(...put);
    this.destination.put(...put);
  }

  /** Lists all keys of each bucket. */
  async listBoth(): Promise<void> {
    await this.migration.listKeys('src');
    await this.migration.listKeys('dest');
  }

  run(changes: Flags = {}): Promise<Ended> {
    return runProgram(['verify', ...this.migration.args(changes)]);
  }

  start(changes: Flags = {}): RunningProgram {
    return startProgram(['verify', ...this.migration.args(changes)]);
  }

  /** The lines of verify.log after its header, as byte strings. */
  async log(folder = this.migration.logFolder): Promise<string[]> {
    const text = await readFile(join(folder, 'verify.log'), 'latin1');
    const [header, ...lines] = text.split('\n');
    if (header !== 'key,symbol,what,source,destination' || lines.pop() !== '') {
      throw new Error(`verify.log is not whole: ${text}`);
    }
    return lines;
  }
}
