/**
 * verify.run.json: what the verification of a log folder is, and how far it has come.
 *
 * Replaced as a whole, and only after verify.log up to its position is on the disk. Keys are in the
 * escaped form, as text.
 */
import { constants } from 'node:fs';
import { join } from 'node:path';
import { MigrateError } from '../errors.ts';
import { KEY_STATES, type KeyState, NOTHING_VERIFIED, type VerifyTotals } from '../findings.ts';
import type { ObjectKey } from '../object-key.ts';
import { openRegular, replaceFile } from './disk.ts';
import { fields, headFromJson, keyFromJson, keyToJson, type RunHead, whole } from './run-file.ts';

export const VERIFY_RUN_FILE = 'verify.run.json';
/** A program refuses a file of another format. */
const FORMAT = 1;

export interface VerifyRecord extends RunHead {
  /** Every key up to here is verified. */
  readonly upTo: ObjectKey;
  /** Bytes of verify.log then. */
  readonly logBytes: number;
  /** Keys verified, over all starts. */
  readonly totals: VerifyTotals;
}

/**
 * @returns undefined when the folder has none
 * @throws MigrateError (2) when it cannot be read or understood
 */
export async function readVerifyRunFile(folder: string): Promise<VerifyRecord | undefined> {
  const path = join(folder, VERIFY_RUN_FILE);
  const file = await openRegular(path, constants.O_RDONLY);
  if (file === undefined) return undefined;
  try {
    return parse(await file.readFile('utf8'));
  } catch (error) {
    throw new MigrateError(
      `${path}: cannot be understood, so it is not known what verify.log is of: ${(error as Error).message}`,
      { exitCode: 2, hint: 'Restore it, or give another --log-folder.', cause: error },
    );
  } finally {
    await file.close();
  }
}

/** @throws MigrateError (3) when it cannot be written; the old one is then still there */
export async function writeVerifyRunFile(folder: string, record: VerifyRecord): Promise<void> {
  await replaceFile(join(folder, VERIFY_RUN_FILE), format(record));
}

function format(record: VerifyRecord): string {
  const json = {
    format: FORMAT,
    toolVersion: record.toolVersion,
    state: record.state,
    startedAt: new Date(record.startedAt).toISOString(),
    updatedAt: new Date(record.updatedAt).toISOString(),
    identity: record.identity,
    totals: record.totals,
    checkpoint: { upTo: keyToJson(record.upTo), logBytes: record.logBytes },
  };
  return `${JSON.stringify(json, undefined, 2)}\n`;
}

function parse(json: string): VerifyRecord {
  const record = fields(JSON.parse(json));
  const head = headFromJson(record, FORMAT);
  const checkpoint = fields(record.checkpoint);
  return {
    ...head,
    upTo: keyFromJson(checkpoint.upTo),
    logBytes: whole(checkpoint.logBytes),
    totals: totalsOf(fields(record.totals)),
  };
}

function totalsOf(found: Record<string, unknown>): VerifyTotals {
  const totals: Record<KeyState, number> = { ...NOTHING_VERIFIED };
  for (const state of KEY_STATES) totals[state] = whole(found[state]);
  return totals;
}
