/**
 * One migration between two buckets of real servers, as an operator makes it: lists, the command, the
 * logs. All of it is in a temporary folder that goes away with the test.
 */
import { type FSWatcher, watch } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseString } from 'fast-csv';
import { expect, onTestFinished } from 'vitest';
import { type ObjectKey, unescapeKey } from '../../src/object-key.ts';
import {
  type Ended,
  type RunningProgram,
  runProgram,
  startProgram,
} from '../support/run-s3migrate.ts';
import type { RealBucket } from './real-bucket.ts';
import { CREDENTIALS } from './real-server.ts';

export type SideFlag = 'src' | 'dest';

/** A line of migrate.log. */
export interface LogLine {
  /** As the program has it: one char a byte. */
  readonly key: ObjectKey;
  readonly outcome: string;
  readonly bytes: string;
  readonly etag: string;
  readonly detail: string;
}

/** A line of failed.log. */
export interface FailedLine {
  readonly key: ObjectKey;
  readonly code: string;
  readonly status: string;
  readonly message: string;
}

export class RealMigration {
  readonly source: RealBucket;
  readonly destination: RealBucket;
  readonly #root: string;

  private constructor(root: string, source: RealBucket, destination: RealBucket) {
    this.#root = root;
    this.source = source;
    this.destination = destination;
  }

  static async prepare(source: RealBucket, destination: RealBucket): Promise<RealMigration> {
    const root = await mkdtemp(join(tmpdir(), 's3migrate-servers-'));
    onTestFinished(() => rm(root, { recursive: true }));
    await mkdir(join(root, 'logs'));
    return new RealMigration(root, source, destination);
  }

  get logFolder(): string {
    return join(this.#root, 'logs');
  }

  listFolder(side: SideFlag): string {
    return join(this.#root, `${side}-lists`);
  }

  /** Makes the lists of one side over S3, with `s3migrate list`. */
  async listOverS3(side: SideFlag, ...flags: string[]): Promise<void> {
    const { exitCode, stderr } = await this.tryListing(side, ...flags);
    expect(exitCode, stderr).toBe(0);
  }

  /** Runs `s3migrate list` for one side; later flags win. */
  tryListing(side: SideFlag, ...flags: string[]): Promise<Ended> {
    const { server, name } = side === 'src' ? this.source : this.destination;
    const bucket = ['--url', server.url, '--bucket', name];
    const credentials = ['--key', CREDENTIALS.accessKey, '--secret', CREDENTIALS.secret];
    return runProgram(['list', this.listFolder(side), ...bucket, ...credentials, ...flags]);
  }

  /** Makes the lists of one side from the files on the disk, with `s3find`. */
  async listFromDisk(side: SideFlag): Promise<void> {
    const { folder } = side === 'src' ? this.source : this.destination;
    const args = [folder, this.listFolder(side)];
    const { exitCode, stderr } = await runProgram(args, { program: 's3find' });
    expect(exitCode, stderr).toBe(0);
  }

  run(...flags: string[]): Promise<Ended> {
    return runProgram([...this.#args(), ...flags]);
  }

  start(...flags: string[]): RunningProgram {
    return startProgram([...this.#args(), ...flags]);
  }

  /** The complete lines of migrate.log; none while there is no such file. */
  async migrateLog(): Promise<LogLine[]> {
    return (await this.#log('migrate.log')) as unknown as LogLine[];
  }

  async failedLog(): Promise<FailedLine[]> {
    return (await this.#log('failed.log')) as unknown as FailedLine[];
  }

  #args(): string[] {
    const flags = {
      ...sideFlags('src', this.source),
      'src-folder': this.listFolder('src'),
      ...sideFlags('dest', this.destination),
      'dest-folder': this.listFolder('dest'),
      'log-folder': this.logFolder,
    };
    return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  }

  async #log(name: string): Promise<Record<string, string>[]> {
    const text = await readFile(join(this.logFolder, name), 'latin1').catch(() => '');
    // After a kill the last line may be torn; the next run drops it.
    const lines = text.slice(0, text.lastIndexOf('\n') + 1);
    return new Promise((resolve, reject) => {
      const records: Record<string, string>[] = [];
      parseString<Record<string, string>, Record<string, string>>(lines, { headers: true })
        .on('data', (row) => records.push({ ...row, key: unescapeKey(row['key'] ?? '') ?? '' }))
        .on('error', reject)
        .on('end', () => resolve(records));
    });
  }
}

function sideFlags(side: SideFlag, { server, name }: RealBucket): Record<string, string> {
  return {
    [`${side}-url`]: server.url,
    [`${side}-bucket`]: name,
    [`${side}-key`]: CREDENTIALS.accessKey,
    [`${side}-secret`]: CREDENTIALS.secret,
  };
}

/** Resolves when something has changed in the folder and the predicate, asked then, holds. */
export function changeIn(folder: string, holds: () => Promise<boolean>): Promise<void> {
  let watcher: FSWatcher;
  const seen = new Promise<void>((resolve, reject) => {
    let asking = false;
    let changed = false;
    const ask = async (): Promise<void> => {
      changed = true;
      if (asking) return;
      asking = true;
      while (changed) {
        changed = false;
        if (await holds()) resolve();
      }
      asking = false;
    };
    watcher = watch(folder, () => void ask().catch(reject)).on('error', reject);
  });
  return seen.finally(() => watcher.close());
}

/** Resolves when the bucket's folder has so many entries: about as many objects, if no key has a slash. */
export function arrivalOf(entries: number, { folder }: RealBucket): Promise<void> {
  return changeIn(folder, async () => (await readdir(folder)).length >= entries);
}
