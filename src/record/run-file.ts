/**
 * migrate.run.json: what the run of a log folder is, and how it went so far.
 *
 * Replaced as a whole, so a reader and a crash see the old one or the new one.
 * Its checkpoint is only ever written after the logs up to it are on the disk; opening the folder
 * need not read what is before it. Keys are in the escaped form, as text.
 */
import { constants } from 'node:fs';
import { join } from 'node:path';
import { MigrateError } from '../errors.ts';
import { escapeKey, keyFromText, type ObjectKey, unescapeKey } from '../object-key.ts';
import { cannotOpen, openRegular, replaceFile } from './disk.ts';
import { type ErrorClass, NO_TOTALS, type RunTotals } from './totals.ts';

export const RUN_FILE = 'migrate.run.json';
/** A program refuses a file of another format. */
const FORMAT = 1;

/** A position in the source list, and what the logs are when exactly that much is recorded. */
export interface Checkpoint {
  /** Every key up to here is handled. */
  readonly upTo: ObjectKey;
  /** Bytes of migrate.log, and the key of its last line; undefined when it has only a header. */
  readonly logBytes: number;
  readonly lastLogged: ObjectKey | undefined;
  readonly failedBytes: number;
  readonly lastFailed: ObjectKey | undefined;
  readonly totals: RunTotals;
  readonly errors: readonly ErrorClass[];
}

/** Names and values, in the order in which differences are to be told; see {@link RunRecord}. */
export type RunIdentity = Readonly<Record<string, string>>;

export interface RunRecord {
  /** Version of the program that wrote this. */
  readonly toolVersion: string;
  /** Random; ties the pages of migrate.ahead/ to this run. */
  readonly run: string;
  /** `complete`: every key is handled. `stopped`: ended before that. `running`: also after a crash. */
  readonly state: 'running' | 'stopped' | 'complete';
  /** What must be the same for the folder to be continued. */
  readonly identity: RunIdentity;
  /** Keys up to here were never part of this run. */
  readonly startAfter: ObjectKey;
  /** What the last start has found out about the destination; JSON, kept for whoever reads the file. */
  readonly probe?: unknown;
  /** ms since the epoch. The first start; this writing; the end, unless `running`. */
  readonly startedAt: number;
  readonly updatedAt: number;
  readonly endedAt: number | undefined;
  readonly checkpoint: Checkpoint;
}

export function keyToJson(key: ObjectKey): string {
  return Buffer.from(escapeKey(key), 'latin1').toString('utf8');
}

/** @throws Error when it is no key */
export function keyFromJson(value: unknown): ObjectKey {
  const key = typeof value === 'string' ? unescapeKey(keyFromText(value)) : undefined;
  if (key === undefined) throw new Error(`${JSON.stringify(value)} is no escaped key`);
  return key;
}

export function keyToJsonOrNull(key: ObjectKey | undefined): string | null {
  return key === undefined ? null : keyToJson(key);
}

/** @throws Error when it is neither null nor a key */
export function keyFromJsonOrNull(value: unknown): ObjectKey | undefined {
  return value === null ? undefined : keyFromJson(value);
}

export function errorsToJson(errors: readonly ErrorClass[]): unknown {
  return errors.map(({ code, count, examples }) => ({
    code,
    count,
    examples: examples.map(({ key, message }) => ({ key: keyToJson(key), message })),
  }));
}

/** @throws Error when the value has another shape */
export function errorsFromJson(value: unknown): ErrorClass[] {
  return list(value).map((entry) => {
    const { code, count, examples } = fields(entry);
    return {
      code: text(code),
      count: whole(count),
      examples: list(examples).map((example) => {
        const { key, message } = fields(example);
        return { key: keyFromJson(key), message: text(message) };
      }),
    };
  });
}

/** @throws Error when the value has another shape */
export function totalsFromJson(value: unknown): RunTotals {
  const found = fields(value);
  const totals = { ...NO_TOTALS };
  for (const name of Object.keys(totals) as (keyof RunTotals)[]) totals[name] = whole(found[name]);
  return totals;
}

/** @throws Error when it is no object */
export function fields(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('an object is missing');
  }
  return value as Record<string, unknown>;
}

/** @throws Error when it is no integer ≥ 0, or one that cannot be counted with */
export function whole(value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error('a number is missing');
  return value as number;
}

/** @throws Error when it is no text */
export function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error('a text is missing');
  return value;
}

function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error('a list is missing');
  return value;
}

/** @throws Error when it is no time; ms since the epoch */
export function time(value: unknown): number {
  const ms = Date.parse(text(value));
  if (Number.isNaN(ms)) throw new Error(`${JSON.stringify(value)} is no time`);
  return ms;
}

function format(record: RunRecord): string {
  const { checkpoint } = record;
  const json = {
    format: FORMAT,
    toolVersion: record.toolVersion,
    run: record.run,
    state: record.state,
    startedAt: new Date(record.startedAt).toISOString(),
    updatedAt: new Date(record.updatedAt).toISOString(),
    endedAt: record.endedAt === undefined ? null : new Date(record.endedAt).toISOString(),
    identity: record.identity,
    startAfter: keyToJson(record.startAfter),
    probe: record.probe,
    totals: checkpoint.totals,
    errors: errorsToJson(checkpoint.errors),
    checkpoint: {
      upTo: keyToJson(checkpoint.upTo),
      logBytes: checkpoint.logBytes,
      lastLogged: keyToJsonOrNull(checkpoint.lastLogged),
      failedBytes: checkpoint.failedBytes,
      lastFailed: keyToJsonOrNull(checkpoint.lastFailed),
    },
  };
  return `${JSON.stringify(json, undefined, 2)}\n`;
}

/** What the state of every kind of run begins with. */
export type RunHead = Pick<
  RunRecord,
  'toolVersion' | 'state' | 'identity' | 'startedAt' | 'updatedAt'
>;

/** @throws Error when the fields are of another format, or have another shape */
export function headFromJson(record: Record<string, unknown>, known: number): RunHead {
  if (record['format'] !== known) {
    throw new Error(
      `its format is ${JSON.stringify(record['format'])}, this program reads ${known}`,
    );
  }
  const { state } = record;
  if (state !== 'running' && state !== 'stopped' && state !== 'complete') {
    throw new Error('its state is none this program knows');
  }
  return {
    toolVersion: text(record['toolVersion']),
    state,
    identity: Object.fromEntries(
      Object.entries(fields(record['identity'])).map(([name, value]) => [name, text(value)]),
    ),
    startedAt: time(record['startedAt']),
    updatedAt: time(record['updatedAt']),
  };
}

function parse(json: string): RunRecord {
  const record = fields(JSON.parse(json));
  const head = headFromJson(record, FORMAT);
  const checkpoint = fields(record.checkpoint);
  return {
    ...head,
    run: text(record.run),
    startAfter: keyFromJson(record.startAfter),
    endedAt: record.endedAt === null ? undefined : time(record.endedAt),
    checkpoint: {
      upTo: keyFromJson(checkpoint.upTo),
      logBytes: whole(checkpoint.logBytes),
      lastLogged: keyFromJsonOrNull(checkpoint.lastLogged),
      failedBytes: whole(checkpoint.failedBytes),
      lastFailed: keyFromJsonOrNull(checkpoint.lastFailed),
      totals: totalsFromJson(record.totals),
      errors: errorsFromJson(record.errors),
    },
  };
}

/**
 * @returns undefined when the folder has none
 * @throws MigrateError (2) when it cannot be read or understood
 */
export async function readRunFile(folder: string): Promise<RunRecord | undefined> {
  const path = join(folder, RUN_FILE);
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return undefined;
  try {
    return parse(await file.readFile('utf8'));
  } catch (error) {
    throw new MigrateError(
      `${path}: cannot be understood, so it is not known what run the logs are of: ${(error as Error).message}`,
      {
        exitCode: 2,
        hint: 'Restore it, or give another --log-folder and the last key of migrate.log as --start-after.',
        cause: error,
      },
    );
  } finally {
    await file.close();
  }
}

/** @throws MigrateError (3) when it cannot be written; the old one is then still there */
export async function writeRunFile(folder: string, record: RunRecord): Promise<void> {
  await replaceFile(join(folder, RUN_FILE), format(record));
}

/** {@link writeRunFile}, before anything is started. @throws MigrateError (2) */
export async function writeFirstRunFile(folder: string, record: RunRecord): Promise<void> {
  await writeRunFile(folder, record).catch((error: unknown) => {
    throw cannotOpen(join(folder, RUN_FILE), (error as MigrateError).cause);
  });
}
