/**
 * One run of a verification: where its stages meet.
 *
 * lists ──pages of keys of both sides──▶ verify ──pages of findings──▶ record, with counters for the report.
 * Nothing is written to either bucket. What stops a run ends it in order, and it can be continued.
 */
import { performance } from 'node:perf_hooks';
import type { KeyPage } from './domain.ts';
import type { MigrateError } from './errors.ts';
import { keysAtFault, keysVerified, newVerifyCounters, type VerifyCounters } from './findings.ts';
import { BothSides } from './load/both-sides.ts';
import { retryPolicy } from './load/retry.ts';
import type { ObjectKey } from './object-key.ts';
import { prepareLogFolder } from './record/disk.ts';
import { openVerifyFolder, type VerifyFolder } from './record/verify-folder.ts';
import { showLine } from './report/progress.ts';
import { tellStandstills } from './report/standstill.ts';
import { VerifyLine } from './report/verify-line.ts';
import { FindingExamples, formatVerifySummary, type VerifyEnd } from './report/verify-summary.ts';
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
import { noteOf, watchOutages } from './run-notes.ts';
import type { ObjectStore } from './s3/object-store.ts';
import { mergedLists } from './verify/listed-keys.ts';
import { SideWatch } from './verify/side-watch.ts';
import { Verifier } from './verify/verifier.ts';

export interface VerifyOptions extends RunInputs {
  /** Keys under comparison at once, 1 to 4096. */
  readonly threads: number;
  /** As many at least, whatever a store has to say; 1 to `threads`. */
  readonly threadsMin: number;
  /** How long a store may be down before the verification is stopped, in ms. */
  readonly maxOutageMs: number;
  /** Whether headers and tags are compared too. */
  readonly metadata: boolean;
  /** The share of the keys whose content is compared: from 0, none, to 1, all. */
  readonly contentShare: number;
  /** Whether verify.log also has a line for each key that is the same. */
  readonly tellSame: boolean;
  /** Whether keys that only the destination's lists have are left out. */
  readonly oneWay: boolean;
  readonly logFolder: string;
  readonly toolVersion: string;
}

/** How a verification went, for the exit code. */
export interface VerifyResult {
  readonly end: VerifyEnd;
  /** What stopped it, when `end` is `stopped`. */
  readonly error: MigrateError | undefined;
  /** Keys that differ, are missing or could not be read, over all starts. */
  readonly atFault: number;
  /** Every listed key ended in exactly one counted state. Says nothing when the run broke off. */
  readonly conserved: boolean;
}

/**
 * Compares what the lists name, and tells about it on `stderr`.
 *
 * @throws MigrateError before anything is started: exit code 2 for input, 3 when a bucket cannot be used
 */
export async function verify(
  options: VerifyOptions,
  surroundings: Surroundings,
): Promise<VerifyResult> {
  const { signal } = surroundings;
  const lists = await openLists(options, signal);
  if (lists === undefined) return interruptedAtStart(signal);
  await prepareLogFolder(options.logFolder);
  const stores = await openStores(options, surroundings, options.maxOutageMs);
  if (stores === undefined) return interruptedAtStart(signal);
  const closeStores = (): void => {
    stores.source.close();
    stores.destination.close();
  };
  surroundings.onLeave(closeStores);
  try {
    const folder = await openVerifyFolder({
      folder: options.logFolder,
      identity: { ...identityOf(options, lists), ...whatIsCompared(options) },
      toolVersion: options.toolVersion,
      now: Date.now,
    });
    if (folder.state === 'complete') return await tellComplete(folder, options, surroundings);
    return await run({ options, surroundings, lists, stores, folder });
  } finally {
    closeStores();
  }
}

function interruptedAtStart({ reason }: AbortSignal): VerifyResult {
  const end = { kind: 'interrupted', signal: reason as 'SIGINT' | 'SIGTERM' } as const;
  return { end, error: undefined, atFault: 0, conserved: true };
}

/** Findings of one verification must all be of the same comparison. */
function whatIsCompared({
  metadata,
  contentShare,
  tellSame,
  oneWay,
}: VerifyOptions): Record<string, string> {
  return {
    metadata: String(metadata),
    content: `${contentShare * 100}%`,
    all: String(tellSame),
    'one-way': String(oneWay),
  };
}

interface Run {
  readonly options: VerifyOptions;
  readonly surroundings: Surroundings;
  readonly lists: Lists;
  readonly stores: { readonly source: ObjectStore; readonly destination: ObjectStore };
  readonly folder: VerifyFolder;
}

async function run({ options, surroundings, lists, stores, folder }: Run): Promise<VerifyResult> {
  const { stderr, signal } = surroundings;
  const before = keysVerified(folder.totals);
  const counters = newVerifyCounters(folder.totals, listBytesOf(lists, options));
  const { threads, maxOutageMs, metadata, contentShare, tellSame } = options;
  const halt = new AbortController();
  const retry = retryPolicy(AbortSignal.any([signal, halt.signal]));
  const sides = new BothSides({
    source: stores.source,
    destination: stores.destination,
    destinationUse: 'reading',
    least: Math.min(options.threadsMin, threads),
    most: threads,
    maxOutageMs,
    retry,
    othersWait: () => verifier.waiting,
    onChange: () => verifier.beginMore(),
  });
  const watched = watchedSides(options, stores);
  const verifier: Verifier = new Verifier({
    source: sides.source,
    destination: sides.destination,
    watches: {
      source: new SideWatch({ side: watched.source, hasWorked: before > 0, retry }),
      destination: new SideWatch({ side: watched.destination, hasWorked: before > 0, retry }),
    },
    threads,
    places: () => sides.places,
    halt,
    forget: (key) => sides.forget(key),
    metadata,
    contentShare,
    tellSame,
    owns: lists.owns,
    retry,
    outlast: (failed, isLast) => sides.outlast(failed, isLast),
    counters,
    signal,
  });
  const line = new VerifyLine({
    counters,
    now: () => performance.now(),
    note: () => noteOf(sides, maxOutageMs),
  });
  const progress = showLine({
    stream: stderr,
    line: (state, columns) => line.text(state, columns),
  });
  for (const warning of folder.warnings) progress.message(`s3migrate: warning: ${warning}`);
  const standstills = tellStandstills(progress);
  const watching = watchOutages(sides, maxOutageMs, progress);
  const examples = new FindingExamples();
  const beganMs = performance.now();
  let error: MigrateError | undefined;
  try {
    for await (const page of verifier.run(pagesOf(lists, options, folder.start))) {
      examples.add(page);
      await folder.write(page);
    }
  } catch (thrown) {
    error = stopping(thrown);
  }
  try {
    await folder.close({ complete: error === undefined && !signal.aborted });
  } catch (thrown) {
    error ??= stopping(thrown);
  }
  standstills.stop();
  clearInterval(watching);
  sides.close();
  progress.stop();
  const end = endOf(error, signal);
  const { totals } = folder;
  stderr.write(
    formatVerifySummary({
      end,
      totals,
      examples,
      counters,
      keysNow: keysVerified(totals) - before,
      elapsedMs: performance.now() - beganMs,
      logFolder: options.logFolder,
    }),
  );
  return { end, error, atFault: keysAtFault(totals), conserved: isConserved(counters, folder) };
}

function pagesOf(
  { source, destination }: Lists,
  { oneWay }: VerifyOptions,
  after: ObjectKey,
): AsyncIterable<KeyPage> {
  if (oneWay) return source.pages({ after });
  return mergedLists(source.pages({ after }), destination.pages({ after }));
}

function listBytesOf({ source, destination }: Lists, { oneWay }: VerifyOptions): number {
  return source.totalBytes + (oneWay ? 0 : destination.totalBytes);
}

function endOf(error: MigrateError | undefined, signal: AbortSignal): VerifyEnd {
  if (error !== undefined) return { kind: 'stopped', cause: error.message, hint: error.hint };
  if (signal.aborted) return { kind: 'interrupted', signal: signal.reason as 'SIGINT' | 'SIGTERM' };
  return { kind: 'complete' };
}

function isConserved({ objects }: VerifyCounters, { totals }: VerifyFolder): boolean {
  return objects === keysVerified(totals);
}

/** The same command once more, after a verification that had come to its end. */
async function tellComplete(
  folder: VerifyFolder,
  { logFolder }: VerifyOptions,
  { stderr }: Surroundings,
): Promise<VerifyResult> {
  await folder.close({ complete: true });
  const atFault = keysAtFault(folder.totals);
  stderr.write(
    `s3migrate: this verification is complete already: ${keysVerified(folder.totals)} objects, ${atFault} that differ or cannot be read; nothing to do\n` +
      `  logs      ${logFolder}: verify.log, verify.run.json\n` +
      '  next      to verify again, give a new --log-folder\n',
  );
  return { end: { kind: 'complete' }, error: undefined, atFault, conserved: true };
}
