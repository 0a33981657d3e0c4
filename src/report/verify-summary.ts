/**
 * The last words of a verification: whether both sides are the same, what is not, and what to do.
 *
 * Pure: figures in, text for standard error out.
 */
import {
  type FindingSymbol,
  keysAtFault,
  keysVerified,
  type VerifiedPage,
  type VerifyCounters,
  type VerifyTotals,
} from '../findings.ts';
import { displayKey, displayText, type ObjectKey } from '../object-key.ts';
import { formatBytes, formatCount, formatDuration, formatPerSecond } from './quantities.ts';
import type { RunEnd } from './summary.ts';

const MAX_EXAMPLES = 3;

interface FindingExample {
  readonly key: ObjectKey;
  readonly what: string;
}

/** A few keys for each symbol; memory does not grow with the number of findings. */
export class FindingExamples {
  readonly #bySymbol = new Map<FindingSymbol, FindingExample[]>();

  add({ found }: VerifiedPage): void {
    for (const { key, findings } of found) {
      const [first] = findings;
      if (first === undefined) continue;
      const examples = this.#bySymbol.get(first.symbol) ?? [];
      if (examples.length === MAX_EXAMPLES) continue;
      examples.push({ key, what: findings.map(({ what }) => what).join(' ') });
      this.#bySymbol.set(first.symbol, examples);
    }
  }

  of(symbol: FindingSymbol): readonly FindingExample[] {
    return this.#bySymbol.get(symbol) ?? [];
  }
}

export type VerifyEnd = Exclude<RunEnd, { readonly kind: 'first-reached' }>;

export interface VerifySummaryInput {
  readonly end: VerifyEnd;
  /** Of all starts in the log folder, as recorded. */
  readonly totals: VerifyTotals;
  /** Of this start alone. */
  readonly examples: FindingExamples;
  readonly counters: Readonly<VerifyCounters>;
  /** Keys that this start has verified. */
  readonly keysNow: number;
  readonly elapsedMs: number;
  /** As the operator wrote it. */
  readonly logFolder: string;
}

/** @returns lines, each ended by a line feed */
export function formatVerifySummary(input: VerifySummaryInput): string {
  const { totals, examples, logFolder } = input;
  const lines = [
    headline(input),
    objectsLine(totals),
    ...accountLines(input),
    `  compared  ${pace(input)}`,
    ...faultLines('+', 'missing on the destination', totals.missingOnDestination, examples),
    ...faultLines('-', 'missing on the source', totals.missingOnSource, examples),
    ...faultLines('*', 'different', totals.differ, examples),
    ...faultLines('!', 'not to be read', totals.error, examples),
    ...unprovenLines(totals),
    ...goneLines(totals),
    `  logs      ${displayText(logFolder)}: verify.log, verify.run.json`,
    ...nextLines(input),
  ];
  return `${lines.join('\n')}\n`;
}

function headline({ end, totals, elapsedMs }: VerifySummaryInput): string {
  const time = formatDuration(elapsedMs);
  switch (end.kind) {
    case 'complete':
      return `s3migrate: verified in ${time}: ${verdict(totals)}`;
    case 'interrupted':
      return `s3migrate: interrupted by ${end.signal === 'SIGINT' ? 'Ctrl-C' : end.signal} after ${time}: ${verdict(totals)} so far`;
    case 'stopped':
      return `s3migrate: STOPPED after ${time}: ${displayText(end.cause)}`;
  }
}

function verdict(totals: VerifyTotals): string {
  const faults = keysAtFault(totals);
  if (faults === 0) return 'no difference';
  return `${counted(faults, 'object')} DIFFER${faults === 1 ? 'S' : ''} or cannot be read`;
}

function objectsLine(totals: VerifyTotals): string {
  const states = [
    `ign ${formatCount(totals.ignored)}`,
    `same ${formatCount(totals.same)}`,
    `unproven ${formatCount(totals.unproven)}`,
    `+ ${formatCount(totals.missingOnDestination)}`,
    `- ${formatCount(totals.missingOnSource)}`,
    `* ${formatCount(totals.differ)}`,
    `! ${formatCount(totals.error)}`,
    `gone ${formatCount(totals.gone)}`,
  ].join(', ');
  return `  objects   obj ${formatCount(keysVerified(totals))}: ${states}`;
}

/** Of a run that broke off, keys may have been read that nothing was recorded of. */
function accountLines({ end, counters, totals }: VerifySummaryInput): string[] {
  const missing = counters.objects - keysVerified(totals);
  if (missing === 0) return ['            every listed key is accounted for'];
  if (end.kind === 'complete') {
    return [`            NOT ACCOUNTED FOR: ${counted(missing, 'listed key')} without a result`];
  }
  return [`            ${counted(missing, 'key')} read but not recorded: left for the next run`];
}

function pace({ keysNow, counters, elapsedMs }: VerifySummaryInput): string {
  const perSecond = (total: number): number => (elapsedMs > 0 ? (total * 1000) / elapsedMs : 0);
  const { comparedBytes, retries } = counters;
  const content =
    comparedBytes === 0
      ? ''
      : `, ${formatBytes(comparedBytes)} of content on each side (${formatBytes(perSecond(comparedBytes))}/s)`;
  const again = retries === 0 ? '' : `, ${counted(retries, 'repeated request')}`;
  return `${counted(keysNow, 'object')} (${formatPerSecond(perSecond(keysNow))} on average)${content}${again}`;
}

function faultLines(
  symbol: FindingSymbol,
  meaning: string,
  count: number,
  findings: FindingExamples,
): string[] {
  if (count === 0) return [];
  const examples = findings.of(symbol);
  const more = count - examples.length;
  return [
    `  ${symbol}         ${counted(count, 'object')} ${meaning}:`,
    ...examples.map(({ key, what }) => `      ${displayKey(key)}: ${displayText(what)}`),
    ...(more > 0 ? [`      and ${formatCount(more)} more`] : []),
  ];
}

function unprovenLines({ unproven }: VerifyTotals): string[] {
  if (unproven === 0) return [];
  return [
    `  unproven  ${counted(unproven, 'object')} of equal length whose ETags cannot be compared: --content reads them`,
  ];
}

function goneLines({ gone }: VerifyTotals): string[] {
  if (gone === 0) return [];
  return [
    `  gone      ${counted(gone, 'listed object')} on neither side: deleted since the lists were made?`,
  ];
}

function nextLines({ end, totals }: VerifySummaryInput): string[] {
  const again = 'give the same command again: it goes on where this run ended';
  switch (end.kind) {
    case 'interrupted':
      return [`  next      ${again}`];
    case 'stopped':
      return end.hint === undefined
        ? [`  next      ${again}`]
        : [`  next      ${displayText(end.hint)}`, `  then      ${again}`];
    case 'complete':
      return keysAtFault(totals) === 0
        ? []
        : ['  next      when they are put right, verify with a new --log-folder'];
  }
}

function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}
