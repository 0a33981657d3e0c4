/**
 * What the demo claims at its end, each claim checked against the buckets and the logs themselves.
 *
 * The buckets are looked into directly, past sockets and client, so that a fault of the client cannot hide
 * itself.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { displayKey, type ObjectKey } from '../object-key.ts';
import { type LogRecord, parseLogLine } from '../record/log-lines.ts';
import { formatBytes, formatCount } from '../report/quantities.ts';
import type { Bucket, StoredObject } from '../s3-server/bucket.ts';

/** What a migration began with, and where it left its results. */
export interface Migration {
  readonly source: Bucket;
  readonly destination: Bucket;
  /** What others put into the destination, before its list was made and after. */
  readonly listed: ReadonlyMap<ObjectKey, StoredObject>;
  readonly unlisted: ReadonlyMap<ObjectKey, StoredObject>;
  readonly logFolder: string;
}

export interface Check {
  /** True when there are no problems. A sentence. */
  readonly claim: string;
  /** Each one line, safe for a terminal. */
  readonly problems: readonly string[];
}

/** @throws Error when a log cannot be read */
export async function checkMigration(migration: Migration): Promise<Check[]> {
  const { logFolder } = migration;
  const log = await readFile(join(logFolder, 'migrate.log'), 'latin1');
  const failedLog = await readFile(join(logFolder, 'failed.log'), 'latin1');
  return [
    checkCopies(migration),
    checkUntouched(migration),
    checkNothingElse(migration),
    checkLog(migration, log),
    checkFailedLog(failedLog),
    checkUploads(migration),
  ];
}

/** The records of a run log, which may have been cut off anywhere. */
export function recordsOf(log: string): LogRecord[] {
  return logLines(log)
    .map(parseLogLine)
    .filter((record) => record !== undefined);
}

/** Lines without the header, and without a last one that has no end. */
function logLines(log: string): string[] {
  return log.split('\n').slice(1, -1);
}

function othersOf({ listed, unlisted }: Migration): Map<ObjectKey, StoredObject> {
  return new Map([...listed, ...unlisted]);
}

function checkCopies(migration: Migration): Check {
  const { source, destination } = migration;
  const others = othersOf(migration);
  const problems: string[] = [];
  let bytes = 0;
  let objects = 0;
  for (const key of source.keys()) {
    if (others.has(key)) continue;
    const original = source.get(key) as StoredObject;
    objects++;
    bytes += original.body.length;
    const difference = differenceOf(original, destination.get(key));
    if (difference !== undefined) problems.push(`${displayKey(key)}: ${difference}`);
  }
  return {
    claim: `${formatCount(objects)} objects (${formatBytes(bytes)}) copied: every byte and all metadata are the source's`,
    problems,
  };
}

function differenceOf(original: StoredObject, copy: StoredObject | undefined): string | undefined {
  if (copy === undefined) return 'missing';
  if (!copy.body.equals(original.body)) return 'other content';
  const names = new Set([...Object.keys(original.headers), ...Object.keys(copy.headers)]);
  const different = [...names].filter((name) => original.headers[name] !== copy.headers[name]);
  return different.length === 0 ? undefined : `other metadata: ${different.toSorted().join(', ')}`;
}

function checkUntouched(migration: Migration): Check {
  const others = othersOf(migration);
  const problems = [...others]
    .filter(([key, object]) => migration.destination.get(key) !== object)
    .map(([key]) => `${displayKey(key)}: overwritten or gone`);
  return {
    claim: `${others.size} objects that others put there are untouched, ${migration.unlisted.size} of them unknown to the list`,
    problems,
  };
}

function checkNothingElse(migration: Migration): Check {
  const others = othersOf(migration);
  const problems = migration.destination
    .keys()
    .filter((key) => migration.source.get(key) === undefined && !others.has(key))
    .map((key) => `${displayKey(key)}: not in the source`);
  return { claim: 'nothing else is at the destination', problems };
}

function checkLog({ source, listed }: Migration, log: string): Check {
  const problems: string[] = [];
  const logged = new Set<ObjectKey>();
  let previous = '' as ObjectKey;
  for (const line of logLines(log)) {
    const record = parseLogLine(line);
    if (record === undefined) {
      problems.push(`not a record: ${displayKey(line as ObjectKey)}`);
      continue;
    }
    const { key, kind } = record;
    if (logged.has(key)) problems.push(`${displayKey(key)}: twice`);
    else if (key < previous) problems.push(`${displayKey(key)}: after ${displayKey(previous)}`);
    if (kind !== 'copied' && kind !== 'skipped-upload') {
      problems.push(`${displayKey(key)}: ${kind}`);
    }
    logged.add(key);
    previous = key;
  }
  const expected = source.keys().filter((key) => !listed.has(key));
  for (const key of expected) {
    if (!logged.delete(key)) problems.push(`${displayKey(key)}: not recorded`);
  }
  for (const key of logged)
    problems.push(`${displayKey(key)}: recorded, but not to be transferred`);
  return {
    claim: `migrate.log is sorted and has each of the ${formatCount(expected.length)} transferred keys once`,
    problems,
  };
}

function checkFailedLog(log: string): Check {
  return {
    claim: 'failed.log names no object',
    problems: logLines(log).map((line) => displayKey(line as ObjectKey)),
  };
}

function checkUploads({ destination }: Migration): Check {
  return {
    claim: 'no unfinished multipart upload is left over',
    problems: destination.uploads().map(({ key }) => displayKey(key)),
  };
}
