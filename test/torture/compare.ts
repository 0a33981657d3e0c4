/**
 * Holds what a migration has come to against the reference model: each key's end, and that the logs and the run
 * files of all hosts agree with each other.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectKey } from '../../src/object-key.ts';
import { type FailedKey, type LoggedKey, type Logs, readLogs } from '../faults/invariants.ts';
import { type End, endsOf, type Facts } from './model.ts';
import type { Scenario } from './scenario.ts';
import type { Tally } from './tally.ts';
import { must } from './violation.ts';
import type { World } from './world.ts';

/** @param folders the log folder of each host, by its number */
export async function compare(
  scenario: Scenario,
  world: World,
  folders: readonly string[],
  tally: Tally,
): Promise<void> {
  const facts = world.facts;
  const logs = await Promise.all(folders.map((folder) => readLogs(folder)));
  const logged = new Map<string, LoggedKey>();
  for (const line of logs.flatMap(({ migrate }) => migrate)) {
    must(!logged.has(line.key), () => `${show(line.key)} is in the logs of two hosts`);
    logged.set(line.key, line);
  }
  const failed = new Map(logs.flatMap((log) => log.failed).map((line) => [line.key, line]));
  const listed = new Set(scenario.listed.src);
  for (const key of logged.keys())
    must(listed.has(key), () => `${show(key)} is logged, not listed`);
  for (const key of listed) {
    const found = { line: logged.get(key), failure: failed.get(key), holds: bytesAt(world, key) };
    const ends = endsOf(key, facts);
    must(
      ends.some((end) => isEnd(end, found)),
      () => `${show(key)} is ${showFound(found)}; it may be ${ends.map(showEnd).join(', or ')}`,
    );
    count(found.line, tally);
  }
  tally.numbers.listed += listed.size;
  for (const [host, folder] of folders.entries()) {
    await compareRunFile(folder, logs[host] as Logs, world);
  }
  await compareCounts(scenario, facts, folders, logged.size);
  expectNothingStrange(scenario, world, facts);
}

interface Found {
  readonly line: LoggedKey | undefined;
  readonly failure: FailedKey | undefined;
  readonly holds: Buffer | undefined;
}

function isEnd(end: End, { line, failure, holds }: Found): boolean {
  if ((line?.outcome ?? 'nothing') !== end.log) return false;
  if (end.holds === undefined ? holds !== undefined : holds?.equals(end.holds) !== true)
    return false;
  const detail = line?.detail ?? '';
  switch (end.log) {
    case 'nothing':
      return failure === undefined;
    case 'copied':
      return PROOF.test(detail) && line?.bytes === String(end.holds.length);
    case 'skipped-download':
      return detail === end.code || detail === 'deleted-during-copy';
    case 'skipped-upload':
      return COMPARED[end.compared].includes(detail);
    case 'failed':
      return detail === end.code && failure?.code === end.code;
  }
}

const PROOF =
  /^(?:md5|etag-parts|sha256|crc64nvme|sha1|crc32c|crc32|crc32-parts|md5-parts|length-only|found after a lost answer)(?: \(parts not kept\))?$/;

/** Where ETags cannot be compared the length is; parts of other lengths make other ETags of the same bytes. */
const COMPARED: Record<(End & { log: 'skipped-upload' })['compared'], readonly string[]> = {
  same: ['exists', 'exists-same', 'exists-same-length', 'exists-differs'],
  other: ['exists', 'exists-differs', 'exists-same-length'],
  unknown: ['exists', 'exists-same', 'exists-same-length', 'exists-differs'],
};

function bytesAt(world: World, key: string): Buffer | undefined {
  return world.migration.destination.bucket.get(key as ObjectKey)?.body;
}

function count(line: LoggedKey | undefined, { numbers }: Tally): void {
  if (line === undefined) return;
  if (line.outcome === 'copied') {
    numbers.copied++;
    numbers.bytes += Number(line.bytes);
  } else if (line.outcome === 'failed') numbers.failed++;
  else numbers.skipped++;
}

/** migrate.run.json says what the logs of its folder say, and nothing of a run under way is left. */
async function compareRunFile(
  folder: string,
  { migrate, failed }: Logs,
  { mayLeaveUploads }: World,
): Promise<void> {
  // The journal of uploads stays while there are any whose fate is not known.
  const names = (await readdir(folder))
    .filter((name) => name !== 'migrate.uploads' || !mayLeaveUploads)
    .toSorted();
  const expected = ['failed.log', 'migrate.log', 'migrate.run.json'];
  must(names.join() === expected.join(), () => `${folder} holds ${names.join(', ')}`);
  for (const name of names) {
    const { mode } = await stat(join(folder, name));
    must((mode & 0o777) === 0o600, () => `${name} has the mode ${(mode & 0o777).toString(8)}`);
  }
  const { state, totals, errors, checkpoint } = await readRunFile(folder);
  const of = (outcome: string): number => migrate.filter((line) => line.outcome === outcome).length;
  const said = {
    state,
    copied: totals.copied,
    bytes: totals.bytes,
    skippedDownload: totals.skippedDownload,
    skippedUpload: totals.skippedUpload,
    failed: totals.failed,
    errors: errors.reduce((sum, { count }) => sum + count, 0),
    failedLines: failed.length,
    logBytes: checkpoint.logBytes,
    failedBytes: checkpoint.failedBytes,
  };
  const meant: typeof said = {
    state: 'complete',
    copied: of('copied'),
    bytes: migrate.reduce((sum, { bytes }) => sum + Number(bytes), 0),
    skippedDownload: of('skipped-download'),
    skippedUpload: of('skipped-upload'),
    failed: of('failed'),
    errors: of('failed'),
    failedLines: of('failed'),
    logBytes: (await stat(join(folder, 'migrate.log'))).size,
    failedBytes: (await stat(join(folder, 'failed.log'))).size,
  };
  const [a, b] = [JSON.stringify(said), JSON.stringify(meant)];
  must(a === b, () => `migrate.run.json says ${a}, the logs ${b}`);
}

interface RunFile {
  readonly state: string;
  readonly totals: Readonly<Record<string, number>>;
  readonly errors: readonly { readonly count: number }[];
  readonly checkpoint: { readonly logBytes: number; readonly failedBytes: number };
}

async function readRunFile(folder: string): Promise<RunFile> {
  return JSON.parse(await readFile(join(folder, 'migrate.run.json'), 'utf8')) as RunFile;
}

/** Each host has counted every key after the start once; every key is the share of one host. */
async function compareCounts(
  { listed, hosts }: Scenario,
  { destinationList, startAfter }: Facts,
  folders: readonly string[],
  logged: number,
): Promise<void> {
  const totals = await Promise.all(
    folders.map(async (folder) => (await readRunFile(folder)).totals),
  );
  const sum = (name: string): number => totals.reduce((all, host) => all + (host[name] ?? 0), 0);
  const keys = listed.src.filter((key) => key > startAfter);
  const exists = keys.filter((key) => destinationList.has(key)).length;
  const said = JSON.stringify({ exists: sum('exists'), ignored: sum('ignored'), logged });
  const ignored = (hosts - 1) * keys.length;
  const meant = JSON.stringify({ exists, ignored, logged: keys.length - exists });
  must(said === meant, () => `the hosts count ${said}, there are ${meant}`);
}

/** Nothing is at the destination that nobody has put there; no upload is open that could have been aborted. */
function expectNothingStrange({ listed }: Scenario, world: World, facts: Facts): void {
  const { bucket } = world.migration.destination;
  const known = new Set([...listed.src, ...facts.before.keys(), ...facts.theirs.keys()]);
  const strange = bucket.keys().filter((key) => !known.has(key) && !isOfProbe(key));
  must(strange.length === 0, () => `nobody has put ${strange.map(show).join(', ')} there`);
  const open = bucket.uploads().length;
  must(open === 0 || world.mayLeaveUploads, () => `${open} uploads are left over`);
}

/** What a killed start was probing with; docs/operations.md tells of it. */
function isOfProbe(key: string): boolean {
  return key.includes('.s3migrate-probe');
}

function show(key: string): string {
  return JSON.stringify(key);
}

function showBytes(bytes: Buffer | undefined): string {
  return bytes === undefined ? 'nothing' : `${bytes.length} bytes ${bytes.toString('hex', 0, 8)}`;
}

function showFound({ line, failure, holds }: Found): string {
  const log = line === undefined ? 'in no log' : `${line.outcome} (${line.detail}, ${line.bytes})`;
  const why = failure === undefined ? '' : `, failed by ${failure.code}: ${failure.message}`;
  return `${log}${why}, and holds ${showBytes(holds)}`;
}

function showEnd(end: End): string {
  const detail = 'code' in end ? ` (${end.code})` : 'compared' in end ? ` (${end.compared})` : '';
  return `${end.log}${detail}, and hold ${showBytes(end.holds)}`;
}
