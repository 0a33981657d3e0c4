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
import { formatBytes, formatCount } from '../report/quantities.ts';
import type { StoredObject } from '../s3-server/bucket.ts';
import {
  type CommandEnd,
  commandText,
  type DemoCommand,
  LOG_FOLDER,
  listCommand,
  migrateCommand,
  type StartedCommand,
  startCommand,
} from './demo-command.ts';
import { type Check, checkMigration, recordsOf } from './demo-compare.ts';
import { exampleKeys, fillSource, putListedObjects, putUnlistedObjects } from './demo-objects.ts';
import { onStored, type Side, startSide } from './demo-side.ts';
import { exitCodeOf, watchSignals } from './signals.ts';

/** Share of the objects after which the run is killed: enough for a first page of keys to be in the log. */
const KILL_AT = 0.6;
const MOST_PROBLEMS_SHOWN = 5;

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
  interruption.onLeave(() => rmSync(folder, { recursive: true, force: true }));
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
    return exitCodeOf(interruption.signal.reason as 'SIGINT' | 'SIGTERM');
  } finally {
    for (const { server } of sides) await server.close();
    if (verdict === 'failed') say(`Lists and logs are kept in ${displayText(folder)}`);
    else await rm(folder, { recursive: true, force: true });
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
    const listed = await fillBuckets(stage);
    await makeLists(stage);
    const unlisted = writeMeanwhile(stage);
    const killedAfter = await runAndKill(stage, listed);
    await runToTheEnd(stage);
    const checks = await compare(stage, { listed, unlisted });
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

async function fillBuckets({ source, destination, folder, signal }: Stage): Promise<Objects> {
  say('A migration between two S3 servers, killed in the middle and started again.');
  step(1, 'two S3 servers in this process, in memory');
  fillSource(source.bucket);
  const listed = putListedObjects(destination.bucket);
  // Filling takes a while; whoever pressed Ctrl-C meanwhile is heard before the next step only so.
  await new Promise(setImmediate);
  signal.throwIfAborted();
  say(`  source       ${source.server.url}  ${amountOf(source)}`);
  say(`  destination  ${destination.server.url}  ${amountOf(destination)}, to be left alone`);
  say('Keys of the source, some of them:');
  for (const key of exampleKeys()) say(`  ${displayKey(key)}`);
  say(`The commands below are given in ${displayText(folder)}`);
  return listed;
}

async function makeLists(stage: Stage): Promise<void> {
  step(2, 'the sorted lists of the keys of both sides');
  say('$ export S3MIGRATE_SRC_SECRET=... S3MIGRATE_DEST_SECRET=...');
  for (const side of [stage.source, stage.destination]) {
    const { command, started } = give(listCommand(side, stage.folder), stage);
    expectSuccess(command, await started.ended, stage.signal);
  }
}

function writeMeanwhile({ destination }: Stage): Objects {
  const unlisted = putUnlistedObjects(destination.bucket);
  say(`\nA client now writes ${unlisted.size} objects to the destination that its list does not have.`);
  return unlisted;
}

/** @returns how many objects the destination had stored when the run was killed */
async function runAndKill(stage: Stage, listed: Objects): Promise<number> {
  const { source, destination, signal } = stage;
  const transfers = source.bucket.keys().filter((key) => !listed.has(key)).length;
  const killAt = Math.floor(transfers * KILL_AT);
  step(3, `the migration, with kill -9 after ${formatCount(killAt)} of ${formatCount(transfers)} objects`);
  const { command, started } = give(migrateCommand(stage), stage);
  let killedAfter = 0;
  onStored(destination, (stored) => {
    // What a kill leaves of a multipart upload nobody but the store's clean-up rule takes away.
    const midUpload = destination.bucket.uploads().length > 0;
    if (killedAfter > 0 || stored < killAt || midUpload) return;
    killedAfter = stored;
    started.kill();
  });
  const end = await started.ended;
  signal.throwIfAborted();
  if (process.stderr.isTTY) process.stderr.write('\n');
  if (end.kind !== 'killed' || killedAfter === 0) throw unexpected(command, end);
  await tellLog(stage, killedAfter);
  return killedAfter;
}

async function tellLog({ folder }: Stage, killedAfter: number): Promise<void> {
  const log = await readFile(join(folder, LOG_FOLDER, 'migrate.log'), 'latin1');
  const records = recordsOf(log);
  const last = records.at(-1);
  say(`Killed. The destination has stored ${formatCount(killedAfter)} objects,`);
  say(
    last === undefined
      ? 'none of which is in migrate.log yet.'
      : `${formatCount(records.length)} of them are in migrate.log, up to ${displayKey(last.key)}`,
  );
}

async function runToTheEnd(stage: Stage): Promise<void> {
  step(4, 'the same command again');
  say('Objects that were stored but not yet recorded are found there: skip (up).');
  const { command, started } = give(migrateCommand(stage), stage);
  expectSuccess(command, await started.ended, stage.signal);
}
