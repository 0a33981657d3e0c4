/**
 * One run of a migration: where the stages meet.
 *
 * lists ──pages of keys──▶ plan ──pages of decisions──▶ transfer ──pages of outcomes──▶ record, with
 * counters for the report. Pulling is the backpressure. What stops a run ends it here in order: no
 * transfer is begun any more, those under way are finished and recorded, and the run can be continued.
 */
import { performance } from 'node:perf_hooks';
import { type Counters, Decision, newCounters, type PlanPage, type Side } from './domain.ts';
import { type MigrateError, messageOf } from './errors.ts';
import { BEFORE_ALL, displayKey, displayText, type ObjectKey } from './object-key.ts';
import { plan } from './plan/plan.ts';
import { probedPolicy, unconditionalWrites } from './probed-policy.ts';
import { prepareLogFolder } from './record/disk.ts';
import {
  openRunFolder,
  peekRunFolder,
  type RunFolder,
  type RunFolderOptions,
  type RunTotals,
} from './record/run-folder.ts';
import { conservation } from './report/conservation.ts';
import { FailureGroups } from './report/failures.ts';
import { type Progress, startProgress } from './report/progress.ts';
import { type EarlierWork, formatSummary, type RunEnd } from './report/summary.ts';
import {
  identityOf,
  type Lists,
  openLists,
  type RunInputs,
  type Surroundings,
  stopping,
} from './run-inputs.ts';
import { credentialsToCheck } from './s3/credentials.ts';
import { flagOf, type OpenBuckets, openBuckets } from './s3/open-store.ts';
import { type ConditionalWrite, WireObjectStore } from './s3/wire-object-store.ts';
import type { CopyPolicy } from './transfer/copy-policy.ts';
import type { Crew, CrewEvents } from './transfer/crew.ts';
import type { FailureLimits, WatchedSide } from './transfer/failure-watch.ts';
import { LocalCrew } from './transfer/local-crew.ts';
import { retryPolicy } from './transfer/retry.ts';
import { ThreadCrew } from './transfer/thread-crew.ts';
import { Transfer } from './transfer/transfer.ts';

export interface MigrateOptions extends RunInputs {
  /** Objects under way at once, 1 to 4096. */
  readonly threads: number;
  /** Threads that copy, 1 to `threads`. */
  readonly cores: number;
  /** Bytes of collected bodies held at once. */
  readonly memoryBytes: number;
  /** Objects longer than this are copied in parts; 16 MiB to 5 GiB. */
  readonly multipartThresholdBytes: number;
  /** Length of those parts, 5 MiB to 5 GiB; undefined: by the object's length. */
  readonly partBytes: number | undefined;
  /** Without `capabilities`, which the run finds out itself. */
  readonly policy: CopyPolicy;
  /** Below it the destination is probed. */
  readonly probePrefix: ObjectKey;
  readonly startAfter: ObjectKey | undefined;
  /** Stop after so many keys that need a transfer; undefined for all. */
  readonly first: number | undefined;
  /** Stop once so many objects have failed in this run; undefined for never. */
  readonly maxFailures: number | undefined;
  readonly logFolder: string;
  /** Disk that pages finished ahead of a slow one may take, in bytes. */
  readonly aheadLimitBytes: number;
  readonly toolVersion: string;
}

/** How a run went, for the exit code. */
export interface RunResult {
  readonly end: RunEnd;
  /** What stopped it, when `end` is `stopped`. */
  readonly error: MigrateError | undefined;
  /** Failed objects recorded in the log folder, of earlier runs too. */
  readonly failed: number;
  /** Every listed key ended in exactly one counted state. Says nothing when the run broke off. */
  readonly conserved: boolean;
}

/** Pages ahead of a slow one from which on the line names the key that all wait for. */
const WORTH_NAMING_PAGES = 16;

/**
 * Migrates what the lists name, and tells about it on `stderr`.
 *
 * @throws MigrateError before anything is started: exit code 2 for input, 3 when a bucket cannot be used
 */
export async function migrate(
  options: MigrateOptions,
  surroundings: Surroundings,
): Promise<RunResult> {
  const { signal } = surroundings;
  const lists = await openLists(options, signal);
  if (lists === undefined) return interruptedAtStart(signal);
  const folderOptions = folderOptionsOf(options, lists);
  await peekRunFolder(folderOptions);
  await prepareLogFolder(options.logFolder);
  const stores = await openBuckets(options);
  try {
    const folder = await openRunFolder(folderOptions);
    if (folder.state === 'complete') return await tellComplete(folder, options, surroundings);
    const policy = await probe({ options, surroundings, stores, folder });
    if (policy === undefined) return interruptedAtStart(signal);
    const unconditional = unconditionalWrites(policy);
    const writing = unconditional.length > 0 ? withoutCondition(stores, unconditional) : stores;
    try {
      return await run({ options, surroundings, lists, stores: writing, folder, policy });
    } finally {
      writing.destination.close();
    }
  } finally {
    closeAll(stores);
  }
}

/** The caller closes the new destination. */
function withoutCondition(
  { source, settled, keyrings }: OpenBuckets,
  unconditional: readonly ConditionalWrite[],
): OpenBuckets {
  const destination = { ...settled.destination, unconditional };
  return {
    source,
    destination: new WireObjectStore(destination, keyrings.destination),
    settled: { source: settled.source, destination },
    keyrings,
  };
}

/** For the summary. */
function unconditionalAs(policy: CopyPolicy): 'head' | 'overwrite' | undefined {
  const { ifExists } = policy;
  return ifExists !== 'skip' && unconditionalWrites(policy).length > 0 ? ifExists : undefined;
}

interface Opened {
  readonly options: MigrateOptions;
  readonly surroundings: Surroundings;
  readonly stores: OpenBuckets;
  readonly folder: RunFolder;
}

/** @returns undefined when it was interrupted; the folder is closed then, and whenever it throws */
async function probe({
  options: { policy, probePrefix },
  surroundings: { stderr, signal },
  stores: { destination },
  folder,
}: Opened): Promise<CopyPolicy | undefined> {
  try {
    return await probedPolicy({
      destination,
      policy,
      probePrefix,
      signal,
      onFindings: (findings, lines) => {
        folder.keepProbe(findings);
        for (const line of lines) stderr.write(`s3migrate: destination: ${line}\n`);
      },
    });
  } catch (error) {
    await folder.close({ complete: false });
    if (signal.aborted && error === signal.reason) return undefined;
    throw error;
  }
}

interface Run extends Opened {
  readonly lists: Lists;
  readonly policy: CopyPolicy;
}

async function run({
  options,
  surroundings,
  lists,
  stores,
  folder,
  policy,
}: Run): Promise<RunResult> {
  const { stderr, signal } = surroundings;
  const counters = newCounters();
  counters.listBytesTotal = lists.source.totalBytes;
  const failures = new FailureGroups();
  const stop = AbortSignal.any([signal, folder.failure]);
  let listBytesAtStart = 0;
  const pages = onFirst(
    planOf({ options, lists, counters, start: folder, signal: stop }),
    ({ after, listBytes }) => {
      // Of a run that goes on somewhere in the lists, what lies before has not been read now.
      if (after !== BEFORE_ALL) listBytesAtStart = listBytes;
    },
  );
  const transfer = new Transfer({
    counters,
    threads: options.threads,
    failures: failureLimits(options, stores, folder),
    signal: stop,
    warn: (message) => progress.message(`s3migrate: warning: ${message}`),
    crew: (events) => crewOf({ options, policy, stores, counters, signal: stop }, events),
  });
  surroundings.onLeave(() => transfer.leave());
  const progress = startProgress({
    counters,
    stream: stderr,
    now: () => performance.now(),
    listBytesAtStart: () => listBytesAtStart,
    note: () => waitingNote(folder, transfer),
  });
  for (const [side, keyring] of Object.entries(stores.keyrings)) {
    if (keyring !== undefined) keyring.onTrouble = toldOnce(side, progress);
  }
  folder.warnings.forEach((warning) => progress.message(`s3migrate: warning: ${warning}`));
  signal.addEventListener('abort', () => tellInterrupted(progress, counters));
  const beganMs = performance.now();
  let error: MigrateError | undefined;
  let totals: RunTotals | undefined;
  try {
    for await (const page of transfer.run(whenThereIsRoom(pages, folder, stop))) {
      page.outcomes.forEach((outcome) => failures.add(outcome));
      await folder.write(page);
    }
  } catch (thrown) {
    error = stopping(thrown);
  }
  const ending = { signal, counters, first: options.first };
  let end = endOf({ error, ...ending });
  try {
    totals = await folder.close({ complete: end.kind === 'complete' });
  } catch (thrown) {
    error ??= stopping(thrown);
    end = endOf({ error, ...ending });
  }
  progress.stop();
  stderr.write(
    formatSummary({
      end,
      counters,
      elapsedMs: performance.now() - beganMs,
      failures: failures.digest(),
      logFolder: options.logFolder,
      unconditional: unconditionalAs(policy),
      earlier: earlierWork(folder, options.startAfter),
    }),
  );
  return {
    end,
    error,
    failed: totals?.failed ?? counters.failed,
    conserved: conservation(counters).ok,
  };
}

function failureLimits(
  options: MigrateOptions,
  stores: OpenBuckets,
  folder: RunFolder,
): FailureLimits {
  const watched = (side: Side): WatchedSide => {
    const { flagPrefix, credentials } = options[side];
    return {
      name: `${side} ${displayText(stores[side].name)}`,
      toCheck: credentialsToCheck(credentials, flagOf(flagPrefix)),
      headBucket: () => stores[side].headBucket(),
    };
  };
  return {
    sides: { source: watched('source'), destination: watched('destination') },
    maxFailures: options.maxFailures,
    hasWorked: folder.earlier.copied > 0,
  };
}

/** New credentials are asked for again and again while the old ones still hold. */
function toldOnce(side: string, progress: Progress): (reason: unknown) => void {
  const told = new Set<string>();
  return (reason) => {
    const message = messageOf(reason);
    if (!told.has(message)) {
      progress.message(`s3migrate: warning: ${side}: ${message}; those in use hold for now`);
    }
    told.add(message);
  };
}

/**
 * Shows what a run would do, a line a key on `stdout`, and writes nothing: neither to a bucket nor to the
 * logs. Where a run has been recorded it begins where the same command would go on.
 *
 * @throws MigrateError as {@link migrate}
 */
export async function rehearse(options: MigrateOptions, surroundings: Surroundings): Promise<void> {
  const { stdout, stderr, signal } = surroundings;
  const lists = await openLists(options, signal);
  if (lists === undefined) return;
  const start = await peekRunFolder(folderOptionsOf(options, lists));
  const stores = await openBuckets(options);
  const counters = newCounters();
  let transfers = 0;
  let readerLeft = false;
  // Standard output is never `destroyed`, whatever becomes of its reader.
  stdout.once('error', () => {
    readerLeft = true;
  });
  try {
    const pages = planOf({ options, lists, counters, start, signal });
    for await (const page of pages) {
      const lines = linesOf(page);
      transfers += lines.transfers;
      if (lines.text !== '' && !stdout.write(lines.text)) await drained(stdout, signal);
      if (readerLeft) break;
    }
  } finally {
    closeAll(stores);
  }
  const { ignored, exists, done } = counters;
  stderr.write(
    `s3migrate: dry run${readerLeft || signal.aborted ? ', cut short' : ''}: both buckets can be used; what the destination does with conditional writes was not probed\n` +
      `  ${transfers} to transfer, ${exists} exist, ${ignored} of other hosts, ${done} recorded already; nothing was written\n`,
  );
}

function linesOf({ keys, decisions }: PlanPage): { text: string; transfers: number } {
  let text = '';
  let transfers = 0;
  for (const [index, decision] of decisions.entries()) {
    const key = keys[index] as ObjectKey;
    if (decision === Decision.transfer) {
      transfers++;
      text += `transfer ${displayKey(key)}\n`;
    } else if (decision === Decision.exists) {
      text += `exists ${displayKey(key)}\n`;
    }
  }
  return { text, transfers };
}

/** Waits until more can be written, or never will. */
function drained(stream: NodeJS.WriteStream, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['drain', 'error', 'close']) stream.once(event, resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function interruptedAtStart({ reason }: AbortSignal): RunResult {
  const end = { kind: 'interrupted', signal: reason as 'SIGINT' | 'SIGTERM' } as const;
  return { end, error: undefined, failed: 0, conserved: true };
}

/** What makes a run the one it is; only the same continues what a log folder holds. */
function folderOptionsOf(options: MigrateOptions, lists: Lists): RunFolderOptions {
  return {
    folder: options.logFolder,
    identity: identityOf(options, lists),
    toolVersion: options.toolVersion,
    startAfter: options.startAfter,
    aheadLimitBytes: options.aheadLimitBytes,
    now: Date.now,
  };
}

interface PlanInput {
  readonly options: MigrateOptions;
  readonly lists: Lists;
  readonly counters: Counters;
  readonly start: Pick<RunFolder, 'start' | 'doneRanges'>;
  readonly signal: AbortSignal;
}

function planOf({ options, lists, counters, start, signal }: PlanInput): AsyncIterable<PlanPage> {
  return plan({
    source: lists.source.pages({ after: start.start }),
    destination: lists.destination.pages({ after: start.start }),
    owns: lists.owns,
    after: start.start,
    doneRanges: start.doneRanges,
    counters,
    first: options.first,
    signal,
  });
}

/** Holds the next page back while pages that are done ahead of a slow one fill their share of the disk. */
async function* whenThereIsRoom(
  pages: AsyncIterable<PlanPage>,
  folder: RunFolder,
  signal: AbortSignal,
): AsyncGenerator<PlanPage> {
  for await (const page of pages) {
    try {
      await folder.room(signal);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    yield page;
  }
}

async function* onFirst<T>(items: AsyncIterable<T>, tell: (item: T) => void): AsyncGenerator<T> {
  let first = true;
  for await (const item of items) {
    if (first) tell(item);
    first = false;
    yield item;
  }
}

interface CrewInput {
  readonly options: MigrateOptions;
  readonly policy: CopyPolicy;
  readonly stores: OpenBuckets;
  readonly counters: Counters;
  readonly signal: AbortSignal;
}

/** With one core no thread is started: it would only cost. */
function crewOf(
  { options, policy, stores, counters, signal }: CrewInput,
  events: CrewEvents,
): Crew {
  const { cores, threads, memoryBytes, multipartThresholdBytes, partBytes } = options;
  const work = { counters, threads, memoryBytes, multipartThresholdBytes, partBytes, policy };
  if (cores > 1) {
    const { settled, keyrings } = stores;
    return new ThreadCrew({ ...work, ...settled, keyrings, cores }, events);
  }
  const { source, destination } = stores;
  const retry = retryPolicy(signal);
  return new LocalCrew({ ...work, source, destination, retry, now: Date.now }, events);
}

function closeAll({ source, destination }: OpenBuckets): void {
  source.close();
  destination.close();
}

function waitingNote(folder: RunFolder, transfer: Transfer): string | undefined {
  const oldest = transfer.oldestUnderWay;
  if (folder.ahead.pages < WORTH_NAMING_PAGES || oldest === undefined) return undefined;
  return `waiting for ${displayKey(oldest)}`;
}

function tellInterrupted(progress: Progress, { working }: Counters): void {
  progress.message(
    `s3migrate: stopping: ${working} objects under way are finished and recorded first; Ctrl-C again leaves at once`,
  );
}

interface Ending {
  readonly error: MigrateError | undefined;
  readonly signal: AbortSignal;
  readonly counters: Counters;
  readonly first: number | undefined;
}

function endOf({ error, signal, counters, first }: Ending): RunEnd {
  if (error !== undefined) return { kind: 'stopped', cause: error.message, hint: error.hint };
  if (signal.aborted) return { kind: 'interrupted', signal: signal.reason as 'SIGINT' | 'SIGTERM' };
  const { skippedDownload, skippedUpload, failed, uploaded } = counters;
  const transfers = skippedDownload + skippedUpload + failed + uploaded;
  if (first !== undefined && transfers >= first) return { kind: 'first-reached', first };
  return { kind: 'complete' };
}

function earlierWork(
  folder: RunFolder,
  startAfter: ObjectKey | undefined,
): EarlierWork | undefined {
  const { copied, bytes, skippedDownload, skippedUpload, failed } = folder.earlier;
  if (folder.state === 'resumed') {
    return {
      kind: 'earlier-runs',
      uploaded: copied,
      uploadedBytes: bytes,
      skipped: skippedDownload + skippedUpload,
      failed,
    };
  }
  return startAfter === undefined || startAfter === BEFORE_ALL
    ? undefined
    : { kind: 'start-after', key: startAfter };
}

/** The same command once more, after a run that had come to its end. */
async function tellComplete(
  folder: RunFolder,
  { logFolder }: MigrateOptions,
  { stderr }: Surroundings,
): Promise<RunResult> {
  const { copied, failed } = await folder.close({ complete: true });
  stderr.write(
    `s3migrate: this run is complete already: ${copied} objects copied, ${failed} failed; nothing to do\n` +
      `  logs      ${logFolder}\n` +
      '  next      another pass over the same buckets: make new lists, and give a new --log-folder\n',
  );
  return { end: { kind: 'complete' }, error: undefined, failed, conserved: true };
}
