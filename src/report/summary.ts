/**
 * The last words of a run, for a tired operator at two in the morning: how it ended, whether every key
 * is accounted for, what failed and what to type next.
 *
 * A clean run takes six lines; each further line is there because something needs attention.
 * Pure: figures in, text for standard error out.
 */
import type { Counters } from '../domain.ts';
import { displayKey, displayText, type ObjectKey } from '../object-key.ts';
import { conservation } from './conservation.ts';
import type { FailureDigest, FailureGroup } from './failures.ts';
import { formatBytes, formatCount, formatDuration, formatPerSecond } from './quantities.ts';

/** How a run ended. */
export type RunEnd =
  | { readonly kind: 'complete' }
  /** `--first` was reached. */
  | { readonly kind: 'first-reached'; readonly first: number }
  | { readonly kind: 'interrupted'; readonly signal: 'SIGINT' | 'SIGTERM' }
  /** Could not go on: `cause` in one sentence, `hint` with what to do before the next run. */
  | { readonly kind: 'stopped'; readonly cause: string; readonly hint?: string | undefined };

/** What lies before this run's first key. */
export type EarlierWork =
  /** Runs recorded in the same log folder, summed. */
  | {
      readonly kind: 'earlier-runs';
      readonly uploaded: number;
      readonly uploadedBytes: number;
      readonly skipped: number;
      readonly failed: number;
    }
  | { readonly kind: 'start-after'; readonly key: ObjectKey };

/** Multipart uploads that are at the destination, by how many there are of each kind. */
export interface UploadsLeft {
  /** For the next run to go on with. */
  readonly kept: number;
  /** That should not be there any more, and could not be aborted. */
  readonly left: number;
  /** That may be there: their creation was not answered. */
  readonly unanswered: number;
}

export interface SummaryInput {
  readonly end: RunEnd;
  /** Of this run alone. */
  readonly counters: Readonly<Counters>;
  readonly elapsedMs: number;
  readonly failures: FailureDigest;
  /** As the operator wrote it. */
  readonly logFolder: string;
  /** How the writes went without a condition, where they did. */
  readonly unconditional?: 'head' | 'overwrite' | undefined;
  /** Listed keys that the source does not have make the exit code 1. */
  readonly failOnMissing: boolean;
  /** Absent when the run began at the first key. */
  readonly earlier?: EarlierWork | undefined;
  /** Absent when there are none. */
  readonly uploads?: UploadsLeft | undefined;
}

/** @returns lines, each ended by a line feed */
export function formatSummary(input: SummaryInput): string {
  const lines = [
    headline(input),
    objectsLine(input.counters),
    accountLine(input),
    ...earlierLines(input.earlier),
    ...amountLines(input),
    ...unconditionalLines(input.unconditional),
    ...existingLines(input.failures),
    ...lossLines(input.failures),
    ...skippedDownloadLines(input),
    ...failureLines(input),
    ...(input.uploads === undefined ? [] : uploadLines(input.uploads, input.logFolder)),
    `  logs      ${displayText(input.logFolder)}: migrate.log, failed.log, migrate.run.json`,
    ...nextLines(input),
  ];
  return `${lines.join('\n')}\n`;
}

function headline({ end, counters, elapsedMs, failOnMissing }: SummaryInput): string {
  const time = formatDuration(elapsedMs);
  switch (end.kind) {
    case 'complete': {
      const { failed, skippedDownload } = counters;
      const bad: string[] = [];
      if (failed > 0) bad.push(`${formatCount(failed)} FAILED`);
      if (failOnMissing && skippedDownload > 0) {
        bad.push(`${formatCount(skippedDownload)} NOT FOUND`);
      }
      const described = bad.length === 0 ? '' : `, with ${bad.join(' and ')}`;
      return `s3migrate: complete in ${time}${described}`;
    }
    case 'first-reached':
      return `s3migrate: stopped after the first ${formatCount(end.first)} (--first), in ${time}`;
    case 'interrupted':
      return `s3migrate: interrupted by ${end.signal === 'SIGINT' ? 'Ctrl-C' : end.signal} after ${time}`;
    case 'stopped':
      return `s3migrate: STOPPED after ${time}: ${displayText(end.cause)}`;
  }
}

/** In the progress line's words and order, so that the two can be compared. */
function objectsLine(counters: Readonly<Counters>): string {
  const { ignored, exists, skippedDownload, skippedUpload, failed, uploaded } = counters;
  const skipped = `skip ${formatCount(skippedDownload + skippedUpload)} (dn ${formatCount(skippedDownload)}, up ${formatCount(skippedUpload)})`;
  const states = [
    `ign ${formatCount(ignored)}`,
    `exist ${formatCount(exists)}`,
    skipped,
    `fail ${formatCount(failed)}`,
    `upld ${formatCount(uploaded)}`,
  ].join(' + ');
  return `  objects   obj ${formatCount(counters.objects)} = ${states}`;
}

/**
 * The conservation check in words. A run that broke off may have read keys it did not come to; after
 * a whole run the same difference is a loss.
 */
function accountLine({ end, counters }: SummaryInput): string {
  const { ok, missing } = conservation(counters);
  if (ok) return '            every listed key is accounted for';
  if (missing < 0) {
    return `            NOT ACCOUNTED FOR: ${counted(-missing, 'result')} more than listed keys`;
  }
  if (end.kind === 'complete') {
    return `            NOT ACCOUNTED FOR: ${counted(missing, 'listed key')} without a result`;
  }
  return `            ${counted(missing, 'key')} read but not handled: left for the next run`;
}

function earlierLines(earlier: EarlierWork | undefined): string[] {
  switch (earlier?.kind) {
    case undefined:
      return [];
    case 'start-after':
      return [`  before    --start-after ${displayKey(earlier.key)}: not counted`];
    case 'earlier-runs': {
      const { uploaded, uploadedBytes, skipped, failed } = earlier;
      return [
        `  before    earlier runs: upld ${formatCount(uploaded)} (${formatBytes(uploadedBytes)}), ` +
          `skip ${formatCount(skipped)}, fail ${formatCount(failed)}: not counted above`,
      ];
    }
  }
}

function amountLines({ counters, elapsedMs }: SummaryInput): string[] {
  const { downloaded, downloadedBytes, uploaded, uploadedBytes, retries } = counters;
  const lines = [
    `  download  ${amount(downloaded, downloadedBytes, elapsedMs)}`,
    `  upload    ${amount(uploaded, uploadedBytes, elapsedMs)}`,
  ];
  if (retries > 0) lines.push(`  retries   ${formatCount(retries)}`);
  return lines;
}

function amount(objects: number, bytes: number, elapsedMs: number): string {
  const perSecond = (total: number): number => (elapsedMs > 0 ? (total * 1000) / elapsedMs : 0);
  const rates = `${formatPerSecond(perSecond(objects))}, ${formatBytes(perSecond(bytes))}/s`;
  return `${counted(objects, 'object')}, ${formatBytes(bytes)} (${rates} on average)`;
}

function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

function unconditionalLines(unconditional: SummaryInput['unconditional']): string[] {
  switch (unconditional) {
    case undefined:
      return [];
    case 'head':
      return [
        '  NOTE      --if-exists head: what a client wrote between a look and the write after it was overwritten, unnoticed',
      ];
    case 'overwrite':
      return ['  NOTE      --if-exists overwrite: what was at the destination was overwritten'];
  }
}

/** In the words of migrate.log's detail, so that they can be searched for. */
function existingLines({ existing }: FailureDigest): string[] {
  const { exists, ...known } = existing;
  const counts = [
    [known['exists-same'], 'exists-same'],
    [known['exists-differs'], 'exists-differs'],
    [known['exists-same-length'], 'exists-same-length'],
    [exists, 'exists, not compared'],
  ] as const;
  const said = counts.filter(([count]) => count > 0);
  if (said.length === 0) return [];
  return [`  skipped   ${said.map(([count, word]) => `${formatCount(count)} ${word}`).join(', ')}`];
}

/** In the words of migrate.log's detail, as above. */
function lossLines({ losses: { objects, kinds } }: FailureDigest): string[] {
  if (objects === 0) return [];
  const each = kinds.map(({ kind, count }) => `${kind} ${formatCount(count)}`).join(', ');
  return [
    `  LOST      not all that belongs to ${counted(objects, 'object')} was kept, see "lost:" in migrate.log: ${each}`,
  ];
}

function skippedDownloadLines({ failures, failOnMissing }: SummaryInput): string[] {
  const { count, examples } = failures.skippedDownloads;
  if (count === 0) return [];
  const counts = failOnMissing ? ' (--fail-on-missing)' : '';
  return [
    `  NOT FOUND ${counted(count, 'listed object')} not in the source (404), not copied: deleted since the list was made?${counts}`,
    ...examples.map((key) => `      ${displayKey(key)}`),
    ...moreLines(count - examples.length),
  ];
}

function failureLines({ end, counters, failures }: SummaryInput): string[] {
  if (counters.failed === 0) return [];
  const lines = [
    `  FAILED    ${counted(counters.failed, 'object')}, ${reasonsIn(end)}:`,
    ...failures.groups.flatMap(groupLines),
  ];
  if (failures.other > 0) lines.push(`    ${formatCount(failures.other)} of other kinds`);
  return lines;
}

/** A run that stopped may have stopped because failed.log takes no more. */
function reasonsIn({ kind }: RunEnd): string {
  return kind === 'stopped'
    ? 'those recorded with their reason in failed.log'
    : 'each with its reason in failed.log';
}

function groupLines({ code, side, count, examples }: FailureGroup): string[] {
  return [
    `    ${formatCount(count)} ${displayText(code)} (${side})`,
    ...examples.map(({ key, message }) => `      ${displayKey(key)}: ${shortened(message)}`),
    ...moreLines(count - examples.length),
  ];
}

function moreLines(more: number): string[] {
  return more > 0 ? [`      and ${formatCount(more)} more`] : [];
}

const LONGEST_MESSAGE = 200;

/** Some servers answer with a page of HTML; failed.log has it whole. */
function shortened(message: string): string {
  const text = displayText(message);
  return text.length <= LONGEST_MESSAGE ? text : `${text.slice(0, LONGEST_MESSAGE)}...`;
}

/** As in a summary, for a run that has none: lines, each ended by a line feed; none where there is nothing to tell. */
export function formatUploadsLeft(uploads: UploadsLeft, logFolder: string): string {
  return uploadLines(uploads, logFolder)
    .map((line) => `${line}\n`)
    .join('');
}

function uploadLines({ kept, left, unanswered }: UploadsLeft, logFolder: string): string[] {
  const lines: string[] = [];
  if (kept > 0) {
    lines.push(
      `  uploads   ${counted(kept, 'unfinished upload')} kept: the next run goes on with what is there`,
    );
  }
  if (left > 0)
    lines.push(
      `  UPLOADS   ${counted(left, 'upload')} could not be aborted: room at the destination is taken up for nothing`,
    );
  if (unanswered > 0) {
    lines.push(
      `  UPLOADS   ${counted(unanswered, 'upload')} may be left at the destination: no answer came to their creation`,
    );
  }
  if (left + unanswered > 0) {
    lines.push(
      `            s3migrate cleanup --log-folder ${shellWord(displayText(logFolder))}, with the --dest flags of this command, shows them`,
    );
  }
  return lines;
}

function nextLines({ end, counters, logFolder }: SummaryInput): string[] {
  switch (end.kind) {
    case 'interrupted':
      return ['  next      give the same command again: it goes on where this run ended'];
    case 'stopped':
      return [
        ...(end.hint === undefined ? [] : [`  next      ${displayText(end.hint)}`]),
        `  ${end.hint === undefined ? 'next' : 'then'}      give the same command again: it goes on where this run ended`,
      ];
    case 'first-reached':
      return ['  next      the same command without --first copies the rest'];
    case 'complete':
      return completeNextLines(counters, logFolder);
  }
}

function completeNextLines(counters: Readonly<Counters>, logFolder: string): string[] {
  if (!conservation(counters).ok) {
    return [
      '  next      keep these logs: this is a defect of s3migrate or a list changed under it',
      '  then      the same command with a new --log-folder; what was copied is not overwritten',
    ];
  }
  if (counters.failed === 0) return [];
  return [
    `  next      s3migrate --failed-to-folder DIR --log-folder ${shellWord(displayText(logFolder))}`,
    '  then      the same command with --src-folder DIR --log-folder NEW retries just those',
  ];
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
