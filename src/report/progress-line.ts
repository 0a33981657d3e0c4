/**
 * The progress line, as the reference prints it:
 *
 * `obj=1234 :: ign=56 exist=89 work=123 [45% ~2h:34m:12s] :: fail=2 skip(dn=3 up=4) dnld=567 (12.3/s)
 * dl.byt=1.2GB (45MB/s) upld=560 (12.1/s) ul.byt=1.1GB (43MB/s)`
 *
 * People and scripts read it, so the names, their order and the spacing are a contract. Pure: figures
 * in, one line without a line end out.
 */
import type { Counters } from '../domain.ts';
import { displayText } from '../object-key.ts';
import { formatBytes, formatDuration, formatPerSecond } from './quantities.ts';

/** Of late, see moving-rate.ts. */
interface TransferRates {
  readonly downloadsPerSecond: number;
  readonly downloadBytesPerSecond: number;
  readonly uploadsPerSecond: number;
  readonly uploadBytesPerSecond: number;
}

export interface ProgressSample {
  readonly counters: Readonly<Counters>;
  readonly rates: TransferRates;
  /** Share of the migration that is done, 0 to 1. */
  readonly fraction: number;
  /** Estimated time to the end; undefined while there is nothing to tell it from. */
  readonly remainingMs: number | undefined;
  /** Only a run that has ended can be at 100%. */
  readonly state: 'running' | 'ended';
  /** Said after the figures, such as the key everything waits for. Made safe for the terminal here. */
  readonly note?: string | undefined;
}

/** An estimate beyond this is shown as unknown: so slow a rate tells nothing about the end. */
const LONGEST_ESTIMATE_MS = 1000 * 86_400_000;

/** @param columns the line is cut to so many display columns; uncut by default */
export function formatProgressLine(sample: ProgressSample, columns = Infinity): string {
  const { counters, rates, note } = sample;
  const line = [
    `obj=${counters.objects} ::`,
    `ign=${counters.ignored} exist=${counters.exists} work=${counters.working}`,
    `[${percent(sample)}% ~${remaining(sample)}] ::`,
    `fail=${counters.failed} skip(dn=${counters.skippedDownload} up=${counters.skippedUpload})`,
    `dnld=${counters.downloaded} (${formatPerSecond(rates.downloadsPerSecond)})`,
    `dl.byt=${formatBytes(counters.downloadedBytes)} (${formatBytes(rates.downloadBytesPerSecond)}/s)`,
    `upld=${counters.uploaded} (${formatPerSecond(rates.uploadsPerSecond)})`,
    `ul.byt=${formatBytes(counters.uploadedBytes)} (${formatBytes(rates.uploadBytesPerSecond)}/s)`,
    ...(note === undefined ? [] : [`:: ${displayText(note)}`]),
  ].join(' ');
  return cutToColumns(line, columns);
}

function percent({ fraction, state }: ProgressSample): number {
  if (state === 'ended' && fraction >= 1) return 100;
  return Math.min(99, Math.floor(fraction * 100));
}

function remaining({ remainingMs }: ProgressSample): string {
  if (remainingMs === undefined || remainingMs >= LONGEST_ESTIMATE_MS) return '?';
  return formatDuration(remainingMs);
}

/**
 * Cuts where the line could leave its row. Every character that is not ASCII is taken as two columns:
 * too many for most letters and never too few, without a table of character widths that would have to
 * agree with the terminal's.
 */
export function cutToColumns(line: string, columns: number): string {
  let used = 0;
  let end = 0;
  for (const char of line) {
    used += char <= '\x7f' ? 1 : 2;
    if (used > columns) break;
    end += char.length;
  }
  return line.slice(0, end);
}
