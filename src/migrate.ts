/**
 * One run of a migration: where the stages meet.
 *
 * lists ──pages of keys──▶ plan ──pages of decisions──▶ transfer ──pages of outcomes──▶ record, with
 * counters for the report. Pulling is the backpressure. What stops a run ends it here in order: no
 * transfer is begun any more, those under way are finished and recorded, and the run can be continued.
 */
import { performance } from 'node:perf_hooks';
import {
  type Counters,
  Decision,
  type JournalledUpload,
  newCounters,
  type PlanPage,
  type Side,
  type UploadJournal,
} from './domain.ts';
import { MigrateError, messageOf } from './errors.ts';
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
import { loadNote } from './report/load-note.ts';
import { Outages } from './report/outages.ts';
import { type Progress, startProgress } from './report/progress.ts';
import {
  type EarlierWork,
  formatSummary,
  formatUploadsLeft,
  type RunEnd,
  type UploadsLeft,
} from './report/summary.ts';
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
import { settleUploads } from './transfer/settle-uploads.ts';
import { ThreadCrew } from './transfer/thread-crew.ts';
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

/** Pages ahead of a slow one from which on the line names the key that all wait for. */
const WORTH_NAMING_PAGES = 16;
const LOOK_FOR_OUTAGES_MS = 500;

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
    note: () => noteOf(folder, transfer, options),
  });
  const watching = watchOutages(transfer, options, progress);
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

/** Aborts uploads that are not to be at the destination any more, as far as it lets that be done. */
async function settle(
  { uploads }: RunFolder,
  { destination }: OpenBuckets,
  signal: AbortSignal,
  isToGo: (upload: JournalledUpload) => boolean,
): Promise<void> {
  const known = uploads.uploads;
  const retry = retryPolicy(signal);
  const context = { destination, retry, uploads, known, now: Date.now };
  await settleUploads(
    known.filter((upload) => upload.state.kind !== 'completed' && isToGo(upload)),
    context,
  );
}

/** Whether an upload of an earlier start will certainly not be gone on with. */
function isOfNoUse(upload: JournalledUpload): boolean {
  const { uploadId, state, isRecorded } = upload;
  if (uploadId === undefined) return false;
  return isRecorded || upload.plan === undefined || state.kind === 'abandoned';
}

/** What an earlier start has begun, and this one has not come to, is for the next one, if there is to be one. */
function isKept(upload: JournalledUpload, { kind }: RunEnd): boolean {
  const { state, isEarlier, isRecorded } = upload;
  const canGoOn = upload.plan !== undefined && state.kind === 'open' && !isRecorded;
  return canGoOn && (isEarlier || kind === 'stopped') && kind !== 'complete';
}

function uploadsLeft({ uploads }: RunFolder, end: RunEnd): UploadsLeft {
  const left = { kept: 0, left: 0, unanswered: 0 };
  for (const upload of uploads.uploads) {
    if (upload.state.kind === 'completed') continue;
    if (isKept(upload, end)) left.kept++;
    else if (upload.uploadId === undefined) left.unanswered++;
    else left.left++;
  }
  return left;
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
  // Standard output is never `destroyed`, whatever becomes of it.
  let broken: NodeJS.ErrnoException | undefined;
  stdout.once('error', (error) => {
    broken = error;
  });
  try {
    const pages = planOf({ options, lists, counters, start, signal });
    for await (const page of pages) {
      const lines = linesOf(page);
      transfers += lines.transfers;
      if (lines.text !== '' && !stdout.write(lines.text)) await drained(stdout, signal);
      if (broken !== undefined) break;
    }
  } finally {
    closeAll(stores);
  }
  await written(stdout);
  // A reader that has seen enough (head, a pager) leaves: that is no fault.
  if (broken !== undefined && broken.code !== 'EPIPE') {
    throw new MigrateError(`standard output cannot be written: ${messageOf(broken)}`, {
      exitCode: 3,
      hint: 'Nothing was copied. Let it go to a terminal, or to a disk with room.',
    });
  }
  const { ignored, exists, done } = counters;
  stderr.write(
    `s3migrate: dry run${broken !== undefined || signal.aborted ? ', cut short' : ''}: both buckets can be used; what the destination does with conditional writes was not probed\n` +
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

/** Waits until all is written, or never will be. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    // Called with the error too, where there is one.
    stream.write('', () => resolve());
  });
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
  return { end, error: undefined, failed: 0, missing: 0, conserved: true };
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

function closeAll({ source, destination }: OpenBuckets): void {
  source.close();
  destination.close();
}

/** Tells when a store stops answering, and when it is back; until the interval is cleared. */
function watchOutages(
  transfer: Transfer,
  { maxOutageMs }: MigrateOptions,
  progress: Progress,
): NodeJS.Timeout {
  const outages = new Outages();
  return setInterval(() => {
    const { load } = transfer;
    for (const side of ['source', 'destination'] as const) {
      const text = outages.look(side, load[side].down, maxOutageMs);
      if (text !== undefined) progress.message(`s3migrate: ${text}`);
    }
  }, LOOK_FOR_OUTAGES_MS).unref();
}

/** What slows the run down, if anything does. */
function noteOf(
  folder: RunFolder,
  transfer: Transfer,
  { maxOutageMs }: MigrateOptions,
): string | undefined {
  const { source, destination } = transfer.load;
  const notes = [
    loadNote('source', { ...source, maxOutageMs }),
    loadNote('destination', { ...destination, maxOutageMs }),
    waitingNote(folder, transfer),
  ];
  return notes.filter((note) => note !== undefined).join('; ') || undefined;
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
