/**
 * One run of a migration: where the stages meet.
 *
 * lists ──pages of keys──▶ plan ──pages of decisions──▶ transfer ──pages of outcomes──▶ record, with
 * counters for the report. Pulling is the backpressure. What stops a run ends it here in order: no
 * transfer is begun any more, those under way are finished and recorded, and the run can be continued.
 */
import { performance } from 'node:perf_hooks';
import { type Counters, newCounters, type PlanPage, type UploadJournal } from './domain.ts';
import { MigrateError, messageOf } from './errors.ts';
import { retryPolicy } from './load/retry.ts';
import { BEFORE_ALL, displayText, type ObjectKey } from './object-key.ts';
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
import { tellStandstills } from './report/standstill.ts';
import {
  type EarlierWork,
  formatSummary,
  formatUploadsLeft,
  type RunEnd,
} from './report/summary.ts';
import {
  identityOf,
  type Lists,
  openLists,
  openStores,
  type RunInputs,
  type Surroundings,
  stopping,
  watchedSides,
} from './run-inputs.ts';
import { noteOf, waitingNote, watchOutages } from './run-notes.ts';
import { isKept, isOfNoUse, settle, uploadsLeft } from './run-uploads.ts';
import type { OpenBuckets } from './s3/open-store.ts';
import { type ConditionalWrite, WireObjectStore } from './s3/wire-object-store.ts';
import type { CopyPolicy } from './transfer/copy-policy.ts';
import type { Crew, CrewEvents } from './transfer/crew/crew.ts';
import { LocalCrew } from './transfer/crew/local-crew.ts';
import { ThreadCrew } from './transfer/crew/thread-crew.ts';
import type { FailureLimits } from './transfer/failure-watch.ts';
import { Transfer } from './transfer/transfer.ts';

export interface MigrateOptions extends RunInputs {
  /** Objects under way at once, 1 to 4096. */
  readonly threads: number;
  /** As many at least, whatever a store has to say; 1 to `threads`. */
  readonly threadsMin: number;
  /** How long a store may be down before the run is stopped, in ms. */
  readonly maxOutageMs: number;
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
  /** Listed keys that the source does not have count against the run: see {@link RunResult.missing}. */
  readonly failOnMissing: boolean;
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
  /** Listed keys that the source did not have, of earlier runs too; 0 unless they count against the run. */
  readonly missing: number;
  /** Every listed key ended in exactly one counted state. Says nothing when the run broke off. */
  readonly conserved: boolean;
}

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
  const stores = await openStores(options, surroundings, options.maxOutageMs);
  if (stores === undefined) return interruptedAtStart(signal);
  try {
    const folder = await openRunFolder(folderOptions);
    if (folder.state === 'complete') {
      return await tellComplete({ options, surroundings, stores, folder });
    }
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
  const tellStopping = (): void => {
    stderr.write(
      's3migrate: stopping: the probe removes what it wrote first; Ctrl-C again leaves at once\n',
    );
  };
  signal.addEventListener('abort', tellStopping);
  try {
    return await probedPolicy({
      destination,
      policy,
      probePrefix,
      run: folder.run,
      resumed: folder.state === 'resumed',
      signal,
      onRepeat: (reason) => {
        stderr.write(
          `s3migrate: the destination could not be probed (${displayText(reason)}): trying again\n`,
        );
      },
      onFindings: (findings, lines) => {
        folder.keepProbe(findings);
        for (const line of lines) stderr.write(`s3migrate: destination: ${line}\n`);
      },
    });
  } catch (error) {
    await folder.close({ complete: false });
    if (signal.aborted && error === signal.reason) return undefined;
    throw error;
  } finally {
    signal.removeEventListener('abort', tellStopping);
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
    crew: (events) =>
      crewOf({ options, policy, stores, counters, uploads: folder.uploads, signal: stop }, events),
  });
  surroundings.onLeave(() => transfer.leave());
  const progress = startProgress({
    counters,
    stream: stderr,
    now: () => performance.now(),
    listBytesAtStart: () => listBytesAtStart,
    note: () => noteOf(transfer, options.maxOutageMs, waitingNote(folder, transfer)),
  });
  const watching = watchOutages(transfer, options.maxOutageMs, progress);
  const standstills = tellStandstills(progress);
  for (const [side, keyring] of Object.entries(stores.keyrings)) {
    if (keyring !== undefined) keyring.onTrouble = toldOnce(side, progress);
  }
  folder.warnings.forEach((warning) => progress.message(`s3migrate: warning: ${warning}`));
  signal.addEventListener('abort', () => tellInterrupted(progress, counters));
  const beganMs = performance.now();
  await settle(folder, stores, signal, isOfNoUse);
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
  if (end.kind !== 'stopped') {
    const ended = end;
    await settle(folder, stores, signal, (upload) => !isKept(upload, ended));
  }
  const uploads = uploadsLeft(folder, end);
  try {
    totals = await folder.close({ complete: end.kind === 'complete' });
  } catch (thrown) {
    error ??= stopping(thrown);
    end = endOf({ error, ...ending });
  }
  clearInterval(watching);
  standstills.stop();
  progress.stop();
  stderr.write(
    formatSummary({
      end,
      counters,
      elapsedMs: performance.now() - beganMs,
      failures: failures.digest(),
      logFolder: options.logFolder,
      unconditional: unconditionalAs(policy),
      failOnMissing: options.failOnMissing,
      earlier: earlierWork(folder, options.startAfter),
      uploads,
    }),
  );
  return {
    end,
    error,
    failed: totals?.failed ?? counters.failed,
    missing: options.failOnMissing ? (totals ?? counters).skippedDownload : 0,
    conserved: conservation(counters).ok,
  };
}

function failureLimits(
  options: MigrateOptions,
  stores: OpenBuckets,
  folder: RunFolder,
): FailureLimits {
  return {
    sides: watchedSides(options, stores),
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

function interruptedAtStart({ reason }: AbortSignal): RunResult {
  const end = { kind: 'interrupted', signal: reason as 'SIGINT' | 'SIGTERM' } as const;
  return { end, error: undefined, failed: 0, missing: 0, conserved: true };
}

/** What makes a run the one it is; only the same continues what a log folder holds. */
export function folderOptionsOf(options: MigrateOptions, lists: Lists): RunFolderOptions {
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

export function planOf({
  options,
  lists,
  counters,
  start,
  signal,
}: PlanInput): AsyncIterable<PlanPage> {
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
  readonly uploads: UploadJournal;
  readonly signal: AbortSignal;
}

/** With one core no thread is started: it would only cost. */
function crewOf(
  { options, policy, stores, counters, uploads, signal }: CrewInput,
  events: CrewEvents,
): Crew {
  const { cores, threads, threadsMin, maxOutageMs, memoryBytes } = options;
  const { multipartThresholdBytes, partBytes } = options;
  const sizes = { threads, threadsMin, memoryBytes, multipartThresholdBytes, partBytes };
  const work = { counters, uploads, policy, maxOutageMs, ...sizes };
  if (cores > 1) {
    const { settled, keyrings } = stores;
    return new ThreadCrew({ ...work, ...settled, keyrings, cores }, events);
  }
  const { source, destination } = stores;
  const retry = retryPolicy(signal);
  return new LocalCrew({ ...work, source, destination, retry, now: Date.now }, events);
}

export function closeAll({ source, destination }: OpenBuckets): void {
  source.close();
  destination.close();
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
async function tellComplete({
  options: { logFolder, failOnMissing },
  surroundings: { stderr, signal },
  stores,
  folder,
}: Opened): Promise<RunResult> {
  for (const warning of folder.warnings) {
    stderr.write(`s3migrate: warning: ${displayText(warning)}\n`);
  }
  const end = { kind: 'complete' } as const;
  await settle(folder, stores, signal, () => true);
  const uploads = uploadsLeft(folder, end);
  const { copied, failed, skippedDownload } = await folder.close({ complete: true });
  const missing = failOnMissing ? skippedDownload : 0;
  const notFound = missing > 0 ? `, ${missing} NOT FOUND (--fail-on-missing)` : '';
  stderr.write(
    `s3migrate: this run is complete already: ${copied} objects copied, ${failed} failed${notFound}; nothing to do\n` +
      formatUploadsLeft(uploads, logFolder) +
      `  logs      ${logFolder}\n` +
      '  next      another pass over the same buckets: make new lists, and give a new --log-folder\n',
  );
  return { end, error: undefined, failed, missing, conserved: true };
}
