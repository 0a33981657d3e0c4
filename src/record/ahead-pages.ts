/**
 * migrate.ahead/: pages that are done while an earlier one is not, one file each.
 *
 * A file is written whole and renamed, but not synced: its first line is a checksum of the rest, so
 * one that a power loss has torn is recognised and dropped, and its keys are transferred again. It
 * names the run it belongs to; a file of another run says nothing about this one.
 *
 * Line 1: CRC-32 (8 hex digits) of all that follows. Line 2: JSON with the key range, the counts and
 * the lengths. Then the lines for failed.log, then those for migrate.log.
 */
import { constants } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { MigrateError } from '../errors.ts';
import type { ObjectKey } from '../object-key.ts';
import { cannotRead, cannotWrite, errorCode, openRegular, writeFully } from './disk.ts';
import type { PageRecords } from './log-lines.ts';
import {
  errorsFromJson,
  errorsToJson,
  fields,
  keyFromJson,
  keyFromJsonOrNull,
  keyToJson,
  keyToJsonOrNull,
  totalsFromJson,
  whole,
} from './run-file.ts';

export const AHEAD_DIRECTORY = 'migrate.ahead';
const PAGE = '.page';
const PART = '.part';
/** What a file of any size takes on a usual file system. */
const BLOCK_BYTES = 4096;

/** A page in migrate.ahead/ that is to be appended to the logs when its turn comes. */
export interface AheadFile {
  readonly path: string;
  /** Disk it takes, in bytes. */
  readonly bytes: number;
  /** Its records up to here are left out: they are in the logs already. */
  readonly after: ObjectKey;
}

function onDisk(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

export interface WriteAheadOptions {
  readonly folder: string;
  /** Unique over all runs in this folder. */
  readonly name: string;
  readonly run: string;
  readonly records: PageRecords;
}

/** @throws MigrateError (3) when the disk does not take it; nothing of it is left then */
export async function writeAheadFile({
  folder,
  name,
  run,
  records,
}: WriteAheadOptions): Promise<AheadFile> {
  const path = join(folder, AHEAD_DIRECTORY, `${name}${PAGE}`);
  const part = join(folder, AHEAD_DIRECTORY, `${name}${PART}`);
  const bytes = format(run, records);
  try {
    const { O_WRONLY, O_CREAT, O_EXCL } = constants;
    const file = await openRegular(part, O_WRONLY | O_CREAT | O_EXCL);
    if (file === undefined) throw new Error('O_CREAT opens or throws');
    try {
      await writeFully(file, bytes);
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true }).catch(() => {});
    throw cannotWrite(path, error instanceof MigrateError ? error.cause : error);
  }
  return { path, bytes: onDisk(bytes.length), after: records.after };
}

function format(run: string, records: PageRecords): Buffer {
  const header = JSON.stringify({
    run,
    after: keyToJson(records.after),
    last: keyToJson(records.last),
    totals: records.totals,
    errors: errorsToJson(records.errors),
    lastLogged: keyToJsonOrNull(records.lastLogged),
    lastFailed: keyToJsonOrNull(records.lastFailed),
    failedBytes: records.failedLines.length,
    logBytes: records.logLines.length,
  });
  const rest = Buffer.concat([
    Buffer.from(`${header}\n`, 'utf8'),
    Buffer.from(records.failedLines, 'latin1'),
    Buffer.from(records.logLines, 'latin1'),
  ]);
  return Buffer.concat([Buffer.from(`${checksum(rest)}\n`), rest]);
}

function checksum(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}

/**
 * Reads a page, and how much disk it takes in bytes.
 *
 * @returns undefined when the file is torn, damaged, gone, or of another run
 * @throws MigrateError (3) when it cannot be read; (2) when it is no regular file
 */
export async function readAheadFile(
  path: string,
  run: string,
): Promise<{ records: PageRecords; bytes: number } | undefined> {
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return undefined;
  let bytes: Buffer;
  try {
    bytes = await file.readFile();
  } catch (error) {
    throw cannotRead(path, error);
  } finally {
    await file.close();
  }
  if (bytes.toString('latin1', 0, 9) !== `${checksum(bytes.subarray(9))}\n`) return undefined;
  const headerEnd = bytes.indexOf('\n', 9);
  const header = fields(JSON.parse(bytes.toString('utf8', 9, headerEnd)));
  if (header.run !== run) return undefined;
  const failedStart = headerEnd + 1;
  const logStart = failedStart + whole(header.failedBytes);
  const records = {
    after: keyFromJson(header.after),
    last: keyFromJson(header.last),
    failedLines: bytes.toString('latin1', failedStart, logStart),
    logLines: bytes.toString('latin1', logStart, logStart + whole(header.logBytes)),
    lastLogged: keyFromJsonOrNull(header.lastLogged),
    lastFailed: keyFromJsonOrNull(header.lastFailed),
    totals: totalsFromJson(header.totals),
    errors: errorsFromJson(header.errors),
  };
  return { records, bytes: onDisk(bytes.length) };
}

/** What is in migrate.ahead/, in no order. Files that are not of its making are left out. */
export async function listAheadFiles(
  folder: string,
): Promise<{ pages: string[]; unfinished: string[] }> {
  const directory = join(folder, AHEAD_DIRECTORY);
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { pages: [], unfinished: [] };
    throw error;
  }
  const withEnd = (end: string) =>
    names.filter((name) => name.endsWith(end)).map((name) => join(directory, name));
  return { pages: withEnd(PAGE), unfinished: withEnd(PART) };
}
