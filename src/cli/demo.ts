/**
 * `s3migrate demo`: a whole migration between two S3 servers of its own, with a `kill -9` in the
 * middle, and the proof that nothing was lost, doubled or overwritten.
 *
 * Everything but the servers is the real thing: each command it shows runs as a process of its own, over
 * sockets. It needs neither network nor terminal, and of the disk only a folder in the temporary
 * folder, which it removes at its end, also when interrupted, unless something differs.
 */
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { type ExitCode, MigrateError, messageOf } from '../errors.ts';
import { displayKey, displayText, type ObjectKey } from '../object-key.ts';
import type { LogRecord } from '../record/log-lines.ts';
import { formatBytes, formatCount } from '../report/quantities.ts';
import type { StoredObject } from '../s3-server/bucket.ts';
import {
  type CommandEnd,
  type DemoCommand,
  LOG_FOLDER,
  listCommand,
  migrateCommand,
  type StartedCommand,
  secretVariable,
  startCommand,
} from './demo-command.ts';
import { type Check, checkMigration, recordsOf } from './demo-compare.ts';
import { exampleKeys, fillSource, putListedObjects, putUnlistedObjects } from './demo-objects.ts';
import { onStored, type Side, startSide } from './demo-side.ts';
import { exitCodeOf, watchSignals } from './signals.ts';

/** Share of the objects after which the run is killed: by then a first page of keys is in the log. */
const KILL_AT = 2 / 3;
const MOST_PROBLEMS_SHOWN = 5;
const WHOLE_FOLDER = { recursive: true, force: true } as const;

interface Stage {
  readonly source: Side;
  readonly destination: Side;
  /** Where the commands are given. */
  readonly folder: string;
  /** Aborted by Ctrl-C and its kin. */
  readonly signal: AbortSignal;
}

type Verdict = 'passed' | 'failed';

/**
 * @returns 0 all is as it should be, 1 something is not, 130 or 143 interrupted
 * @throws MigrateError (3) when there is no room for its folder
 */
export async function demo(): Promise<ExitCode> {
  const interruption = watchSignals();
  const folder = await makeFolder();
  interruption.onLeave(() => rmSync(folder, { ...WHOLE_FOLDER, maxRetries: 3 }));
  const sides: Side[] = [];
  let verdict: Verdict | undefined;
  try {
    const source = await startSide('source');
    sides.push(source);
    const destination = await startSide('destination');
    sides.push(destination);
    verdict = await play({ source, destination, folder, signal: interruption.signal });
    return verdict === 'passed' ? 0 : 1;
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    process.stderr.write('\ns3migrate: demo interrupted; nothing is left of it.\n');
    return exitCodeOf(interruption.signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    for (const { server } of sides) await server.close();
    if (verdict === 'failed') say(`Lists and logs are kept in ${displayText(folder)}`);
    else await rm(folder, WHOLE_FOLDER);
    interruption.end();
  }
}

async function makeFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), 's3migrate-demo-'));
  } catch (error) {
    throw new MigrateError(`no folder can be made for the demo: ${displayText(messageOf(error))}`, {
      exitCode: 3,
      hint: 'Name a folder that can be written to in TMPDIR.',
      cause: error,
    });
  }
}

async function play(stage: Stage): Promise<Verdict> {
  const beganMs = performance.now();
  try {
    say('A migration between two S3 servers, killed in the middle and started again.');
    say(`Lists and logs are in ${displayText(stage.folder)} until the end.`);
    const listed = await fillBuckets(stage);
    await makeLists(stage);
    const unlisted = writeMeanwhile(stage);
    const killedAfter = await runAndKill(stage, listed);
    await runToTheEnd(stage, unlisted);
    const checks = await checkMigration({
      source: stage.source.bucket,
      destination: stage.destination.bucket,
      listed,
      unlisted,
      logFolder: join(stage.folder, LOG_FOLDER),
    });
    return tellVerdict(stage, { checks, killedAfter, elapsedMs: performance.now() - beganMs });
  } catch (error) {
    if (!(error instanceof UnexpectedEnd)) throw error;
    say(`\nNOT PASSED: ${error.message}`);
    return 'failed';
  }
}

/** A command ended in another way than the story has it, so the story cannot go on. */
class UnexpectedEnd extends Error {}

type Objects = ReadonlyMap<ObjectKey, StoredObject>;

async function fillBuckets({ source, destination, signal }: Stage): Promise<Objects> {
  step(1, 'Two S3 servers in this process, in memory');
  fillSource(source.bucket);
  const listed = putListedObjects(destination.bucket);
  // Nothing else was heard while they were filled, no Ctrl-C either.
  await new Promise(setImmediate);
  signal.throwIfAborted();
  say(`  source       ${source.server.url}  bucket ${source.bucketName}: ${amountOf(source)}`);
  say(
    `  destination  ${destination.server.url}  bucket ${destination.bucketName}: ${amountOf(destination)},` +
      '\n               newer than the source and not to be overwritten',
  );
  say('Some of the keys, as logs and screen show them:');
  for (const key of exampleKeys()) say(`  ${displayKey(key)}`);
  return listed;
}

async function makeLists(stage: Stage): Promise<void> {
  const { source, destination } = stage;
  step(2, 'Lists of the keys of both sides');
  say(`$ export ${secretVariable(source)}=... ${secretVariable(destination)}=...`);
  for (const side of [source, destination]) {
    await untilSuccess(give(listCommand(side), stage), stage);
  }
}

function writeMeanwhile({ destination }: Stage): Objects {
  const unlisted = putUnlistedObjects(destination.bucket);
  say(
    `\nNow a client writes ${unlisted.size} objects to the destination that its list does not know.`,
  );
  return unlisted;
}

/** @returns how many objects the destination had stored when the run was killed */
async function runAndKill(stage: Stage, listed: Objects): Promise<number> {
  const { source, destination, folder } = stage;
  const transfers = source.bucket.keys().filter((key) => !listed.has(key)).length;
  const killAt = Math.floor(transfers * KILL_AT);
  step(
    3,
    `The migration, and kill -9 after ${formatCount(killAt)} of ${formatCount(transfers)} objects`,
  );
  const run = give(migrateCommand(source, destination), stage);
  let killedAfter = 0;
  onStored(destination, (stored) => {
    // A multipart upload that is cut off by a kill stays until the store's own rule removes it.
    const inUpload = destination.bucket.uploads().length > 0;
    if (killedAfter > 0 || stored < killAt || inUpload) return;
    killedAfter = stored;
    run.kill();
  });
  const end = await endOf(run, stage);
  if (process.stderr.isTTY) process.stderr.write('\n');
  if (end.kind !== 'killed' || killedAfter === 0) throw unexpected(run, end);
  say(`Killed. ${formatCount(killedAfter)} objects had been stored.`);
  say(await logSoFar(folder));
  return killedAfter;
}

async function logSoFar(folder: string): Promise<string> {
  const records = await readRecords(folder);
  const last = records.at(-1);
  if (last === undefined) return 'migrate.log has recorded none of them yet.';
  return `migrate.log has recorded ${formatCount(records.length)} keys, the last of them\n  ${displayKey(last.key)}`;
}

async function readRecords(folder: string): Promise<LogRecord[]> {
  return recordsOf(await readFile(join(folder, LOG_FOLDER, 'migrate.log'), 'latin1'));
}

async function runToTheEnd(stage: Stage, unlisted: Objects): Promise<void> {
  const { source, destination, folder } = stage;
  step(4, 'The same command again');
  await untilSuccess(give(migrateCommand(source, destination), stage), stage);
  const inPlace = (await readRecords(folder)).filter(
    ({ key, kind }) => kind === 'skipped-upload' && !unlisted.has(key),
  );
  say(
    `${formatCount(inPlace.length)} objects had been stored but not recorded when the kill came:\n` +
      'this run found them in place (skip up).',
  );
}

/** Shows a command and starts it. */
function give(command: DemoCommand, { folder, signal }: Stage): StartedCommand {
  const started = startCommand(command, { folder, signal });
  say(`$ ${started.text}`);
  return started;
}

async function endOf(started: StartedCommand, { signal }: Stage): Promise<CommandEnd> {
  const end = await started.ended;
  signal.throwIfAborted();
  return end;
}

/** @throws UnexpectedEnd when it does */
async function untilSuccess(started: StartedCommand, stage: Stage): Promise<void> {
  const end = await endOf(started, stage);
  if (end.kind !== 'exited' || end.code !== 0) throw unexpected(started, end);
}

function unexpected({ text }: StartedCommand, end: CommandEnd): UnexpectedEnd {
  const how = end.kind === 'exited' ? `exit code ${end.code}` : end.signal;
  return new UnexpectedEnd(`this command ended with ${how}:\n${text}`);
}

interface Results {
  readonly checks: readonly Check[];
  readonly killedAfter: number;
  readonly elapsedMs: number;
}

function tellVerdict({ source }: Stage, { checks, killedAfter, elapsedMs }: Results): Verdict {
  step(5, 'Both buckets and the logs compared');
  checks.forEach(tellCheck);
  const passed = checks.every(({ problems }) => problems.length === 0);
  say(
    `\n${passed ? 'PASSED' : 'NOT PASSED'}: ${amountOf(source)} in ${(elapsedMs / 1000).toFixed(1)} s, ` +
      `killed after ${formatCount(killedAfter)}.`,
  );
  return passed ? 'passed' : 'failed';
}

function tellCheck({ claim, problems }: Check): void {
  say(`  ${problems.length === 0 ? 'ok    ' : 'NOT SO'}  ${claim}`);
  for (const problem of problems.slice(0, MOST_PROBLEMS_SHOWN)) say(`            ${problem}`);
  const more = problems.length - MOST_PROBLEMS_SHOWN;
  if (more > 0) say(`            and ${formatCount(more)} more`);
}

function amountOf({ bucket }: Side): string {
  const keys = bucket.keys();
  const bytes = keys.reduce((sum, key) => sum + (bucket.get(key)?.body.length ?? 0), 0);
  return `${formatCount(keys.length)} objects, ${formatBytes(bytes)}`;
}

function step(number: number, title: string): void {
  say(`\n${number}. ${title}`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
