/**
 * What must hold after every run, crash and resume, whatever went wrong (design/faults.md):
 *
 * - I1 the destination never holds bytes that were not a version of the source's object, nor a prefix of one;
 * - I2 an object that was there before, or was written by somebody else, is byte for byte what it was;
 * - I3 once a run has come to its end, every listed key is at the destination, in failed.log, or in migrate.log
 *   as skipped with a reason;
 * - I4 the logs are sorted, without duplicates and parseable, each `copied` is true at the destination, and each
 *   `failed` of migrate.log is in failed.log.
 *
 * Reads the logs by rules of its own, those of docs/formats.md, and not by the program's code.
 */
import { hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { ObjectKey } from '../../src/object-key.ts';
import { DEFAULT_PROBE_PREFIX } from '../../src/s3/probe/probe-prefix.ts';
import type { Migration } from '../cli/migration.ts';

/** A line of migrate.log; the key is a byte string, not escaped any more. */
export interface LoggedKey {
  readonly key: string;
  readonly outcome: string;
  readonly bytes: string;
  readonly etag: string;
  readonly detail: string;
}

/** A line of failed.log. */
export interface FailedKey {
  readonly key: string;
  readonly at: string;
  readonly code: string;
  readonly status: string;
  readonly attempts: string;
  readonly message: string;
}

export interface Logs {
  readonly migrate: readonly LoggedKey[];
  readonly failed: readonly FailedKey[];
}

/**
 * Knows what both buckets held when it was made, which is before the first run, and what it is told of.
 */
export class Invariants {
  readonly #migration: Migration;
  /** SHA-256 of every version that the source has had, by key. */
  readonly #versions = new Map<string, Set<string>>();
  /** SHA-256 of what only others have written to the destination, by key. */
  readonly #foreign = new Map<string, string>();
  /** What others have overwritten or deleted after a run had copied it. */
  readonly #taken = new Set<string>();

  constructor(migration: Migration) {
    this.#migration = migration;
    this.noteSource();
    const { bucket } = migration.destination;
    for (const key of bucket.keys()) this.noteForeign(key);
  }

  /** To be called after each change of the source's objects. */
  noteSource(): void {
    const { bucket } = this.#migration.source;
    for (const key of bucket.keys()) {
      const versions = this.#versions.get(key) ?? new Set();
      versions.add(digest(bucket.get(key)?.body));
      this.#versions.set(key, versions);
    }
  }

  /** To be called when somebody else has written the key at the destination, or deleted it there. */
  noteForeign(key: string): void {
    const object = this.#migration.destination.bucket.get(key as ObjectKey);
    if (object === undefined) this.#foreign.delete(key);
    else this.#foreign.set(key, digest(object.body));
  }

  /** To be called when somebody else has overwritten or deleted what a run had copied: its line was true then. */
  noteTaken(key: string): void {
    this.#taken.add(key);
    this.noteForeign(key);
  }

  /** I1, I2 and I4: to be called after every run and crash. Before the first line there is no log. */
  async expectSound(folder = this.#migration.logFolder): Promise<Logs> {
    this.#expectBytes();
    const logs = await readLogs(folder);
    this.#expectTrue(logs);
    return logs;
  }

  /**
   * All of them: to be called when a run has come to its end. Of several hosts the log folders of all. A
   * probe has left nothing behind.
   */
  async expectComplete(...folders: readonly string[]): Promise<Logs> {
    const all = await Promise.all(
      (folders.length === 0 ? [this.#migration.logFolder] : folders).map((folder) =>
        this.expectSound(folder),
      ),
    );
    const logs = {
      migrate: all.flatMap(({ migrate }) => migrate),
      failed: all.flatMap(({ failed }) => failed),
    };
    expect(this.#migration.destination.bucket.keys().filter(isOfProbe)).toEqual([]);
    const skipped = logs.migrate.filter(({ outcome }) => outcome.startsWith('skipped-'));
    expect(skipped.filter(({ detail }) => detail === '')).toEqual([]);
    const accounted = new Set([
      ...this.#migration.destination.bucket.keys(),
      ...(await listedKeys(this.#migration, 'dest')),
      ...this.#taken,
      ...skipped.map(({ key }) => key),
      ...logs.failed.map(({ key }) => key),
    ]);
    const listed = await listedKeys(this.#migration, 'src');
    expect(listed.filter((key) => !accounted.has(key))).toEqual([]);
    return logs;
  }

  #expectBytes(): void {
    const { bucket } = this.#migration.destination;
    for (const key of bucket.keys()) {
      // A kill leaves what the probe was just writing, for the next start to remove.
      if (isOfProbe(key)) continue;
      const now = digest(bucket.get(key)?.body);
      const foreign = this.#foreign.get(key);
      if (foreign !== undefined) expect([key, now]).toEqual([key, foreign]);
      else expect([key, this.#versions.get(key)?.has(now)]).toEqual([key, true]);
    }
    for (const key of this.#foreign.keys()) {
      expect([key, bucket.get(key as ObjectKey) !== undefined]).toEqual([key, true]);
    }
  }

  #expectTrue({ migrate, failed }: Logs): void {
    expectAscending(migrate.map(({ key }) => key));
    expectAscending(failed.map(({ key }) => key));
    const failedKeys = new Set(failed.map(({ key }) => key));
    const { bucket } = this.#migration.destination;
    for (const { key, outcome, bytes, etag } of migrate) {
      if (outcome === 'failed') expect([key, failedKeys.has(key)]).toEqual([key, true]);
      if (outcome !== 'copied' || this.#taken.has(key)) continue;
      const object = bucket.get(key as ObjectKey);
      // Some stores answer in upper case what they show in lower case.
      const told = [key, Number(bytes), etag.toLowerCase()];
      expect([key, object?.body.length, object?.etag.toLowerCase()]).toEqual(told);
    }
  }
}

function expectAscending(keys: readonly string[]): void {
  for (const [index, key] of keys.entries()) {
    const before = keys[index - 1];
    if (before !== undefined) expect([before, key, before < key]).toEqual([before, key, true]);
  }
}

/** @throws Error when a log is not whole, or a line of it cannot be parsed; a log that is not there has no lines */
export async function readLogs(folder: string): Promise<Logs> {
  const migrate = await records(join(folder, 'migrate.log'), 'key,outcome,bytes,etag,detail');
  const failed = await records(join(folder, 'failed.log'), 'key,at,code,status,attempts,message');
  return {
    migrate: migrate.map(([key = '', outcome = '', bytes = '', etag = '', detail = '']) => ({
      key,
      outcome,
      bytes,
      etag,
      detail,
    })),
    failed: failed.map(
      ([key = '', at = '', code = '', status = '', attempts = '', message = '']) => ({
        key,
        at,
        code,
        status,
        attempts,
        message,
      }),
    ),
  };
}

/** A log whose last line is torn is sound after a crash: the next run drops it. */
async function records(path: string, header: string): Promise<string[][]> {
  const text = await readFile(path, 'latin1').catch(() => '');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole === '') return [];
  const [first, ...lines] = whole.split('\n').slice(0, -1);
  if (first !== header) throw new Error(`${path}: its header is ${JSON.stringify(first)}`);
  const columns = header.split(',').length;
  return lines.map((line) => {
    const fields = csvFields(line);
    if (fields?.length !== columns) throw new Error(`${path}: not a record: ${line}`);
    return fields;
  });
}

/** RFC 4180 without line breaks inside fields, each then unescaped; undefined when malformed. */
function csvFields(line: string): string[] | undefined {
  const fields: string[] = [];
  for (let rest = line; ; ) {
    const field = /^(?:"((?:[^"]|"")*)"|([^",]*))(?:,|$)/.exec(rest);
    if (field === null) return undefined;
    fields.push(unescaped((field[1]?.replaceAll('""', '"') ?? field[2]) as string));
    const isLast = field[0].length === rest.length && !field[0].endsWith(',');
    if (isLast) return fields;
    rest = rest.slice(field[0].length);
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\' };

function unescaped(text: string): string {
  return text.replace(/\\(?:x([0-9A-Fa-f]{2})|([nrt\\]))/g, (_, hex?: string, char?: string) =>
    hex === undefined
      ? (ESCAPES[char as string] as string)
      : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function isOfProbe(key: string): boolean {
  return key.replace(/^\/+/, '').startsWith(DEFAULT_PROBE_PREFIX);
}

/** The keys of all list files of a side. */
async function listedKeys(migration: Migration, side: 'src' | 'dest'): Promise<string[]> {
  const folder = migration.path('lists', side);
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  const lists = names.filter((name) => !name.startsWith('.'));
  const keys = await Promise.all(lists.map((name) => keysOfList(join(folder, name))));
  return keys.flat();
}

async function keysOfList(path: string): Promise<string[]> {
  const bytes = await readFile(path);
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
  const lines = text.split('\n').filter((line) => line !== '');
  if (!/\.csv(?:\.gz)?$/.test(path)) return lines;
  const [header = '', ...rows] = lines;
  const column = header.split(',').indexOf('key');
  return rows.map((row) => csvFields(row)?.[column] ?? '');
}

function digest(body: Buffer | undefined): string {
  return hash('sha256', body ?? '');
}
