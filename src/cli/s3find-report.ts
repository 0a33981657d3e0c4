/**
 * What s3find shows: a line redrawn on a terminal while it walks, and the summary at its end.
 *
 * Paths are made safe for the terminal here.
 */
import type { SkippedKind, WalkCounts } from '../find/walk-counts.ts';
import type { ListSummary } from '../lists/list-writer.ts';
import { displayKey, displayText, type ObjectKey } from '../object-key.ts';
import { MovingRate } from '../report/moving-rate.ts';
import { cutToColumns } from '../report/progress-line.ts';
import { formatDuration } from '../report/quantities.ts';

/** Where the line goes; process.stderr is one. */
export interface ReportStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Bytes that the terminal has not taken yet. */
  readonly writableLength?: number;
  write(text: string): unknown;
}

const REDRAW_MS = 250;
const RATE_WINDOW_MS = 10_000;
const DEFAULT_COLUMNS = 80;
const CLEAR_LINE = '\r\x1b[2K';

/** The redrawn line. Shows nothing where there is no terminal; end it with `end`. */
export class FindProgress {
  readonly #stream: ReportStream;
  readonly #counts: WalkCounts;
  readonly #rate = new MovingRate(RATE_WINDOW_MS);
  #timer: NodeJS.Timeout | undefined;
  /** The directory whose files were listed last, as a path below the top one; a byte string. */
  where = '';

  constructor(stream: ReportStream, counts: WalkCounts) {
    this.#stream = stream;
    this.#counts = counts;
    if (stream.isTTY === true) this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
  }

  /** Says a line above the one that is redrawn. */
  say(line: string): void {
    this.#stream.write(`${this.#timer === undefined ? '' : CLEAR_LINE}${line}\n`);
  }

  #draw(): void {
    // A terminal that was stopped has not taken the last one yet.
    if ((this.#stream.writableLength ?? 0) > 0) return;
    const { entries, files, directories } = this.#counts;
    this.#rate.add(performance.now(), entries);
    const figures = `files=${files} directories=${directories} (${Math.round(this.#rate.perSecond)} entries/s) at `;
    const line = figures + displayKey(this.where as ObjectKey);
    const columns = (this.#stream.columns ?? DEFAULT_COLUMNS) - 1;
    this.#stream.write(CLEAR_LINE + cutToColumns(line, columns));
  }

  /** Takes the line away. May be called again. */
  end(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#stream.write(CLEAR_LINE);
  }
}

export interface FindResult {
  counts: WalkCounts;
  lists: ListSummary;
  outputFolder: string;
  /** The output folder as a path below the directory walked, when it lies there; a byte string. */
  excluded: string | undefined;
  elapsedMs: number;
}

const SKIPPED_NAMES: Record<SkippedKind, readonly [one: string, many: string]> = {
  symlink: ['symbolic link', 'symbolic links'],
  socket: ['socket', 'sockets'],
  fifo: ['FIFO', 'FIFOs'],
  device: ['device', 'devices'],
  other: ['entry of unknown kind', 'entries of unknown kind'],
};

/** The lines that tell what was listed, what was not, and what to type next. */
export function findSummary(result: FindResult): string[] {
  const { counts, lists, outputFolder, excluded, elapsedMs } = result;
  const folder = displayText(outputFolder);
  const { count, example } = lists.impossible;
  const lines = [
    `s3find: ${amount(lists.keys, 'key', 'keys')} of ${amount(counts.directories, 'directory', 'directories')} in ${amount(lists.files, 'list file', 'list files')} in ${folder}, ${seconds(elapsedMs)}`,
  ];
  const skipped = skippedText(counts.skipped);
  if (skipped !== '') lines.push(`  skipped: ${skipped}`);
  if (counts.older > 0) {
    lines.push(`  too old for -later-than: ${amount(counts.older, 'file', 'files')}`);
  }
  if (excluded !== undefined) {
    lines.push(`  passed over: ${displayKey(excluded as ObjectKey)}, which is the output folder`);
  }
  if (counts.vanished > 0) {
    lines.push(`  gone before they were read: ${amount(counts.vanished, 'entry', 'entries')}`);
  }
  if (counts.unreadable > 0) {
    lines.push(`  UNREADABLE: ${counts.unreadable} (named above); what is there is in no list`);
  }
  if (example !== undefined) {
    lines.push(
      `  NOT LISTED: ${amount(count, 'path', 'paths')} over 1024 bytes, which no S3 key can have, such as ${displayKey(example)}`,
    );
  }
  lines.push(`next: s3migrate --src-folder ${shellWord(outputFolder)} … (s3migrate --help)`);
  return lines;
}

function skippedText(skipped: WalkCounts['skipped']): string {
  return (Object.keys(SKIPPED_NAMES) as SkippedKind[])
    .filter((kind) => skipped[kind] > 0)
    .map((kind) => amount(skipped[kind], ...SKIPPED_NAMES[kind]))
    .join(', ');
}

function amount(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)}s` : formatDuration(ms);
}

/** Text as one word of a POSIX shell, safe for the terminal too. */
function shellWord(text: string): string {
  const safe = displayText(text);
  return /^[\w@%+=:,./-]+$/.test(safe) ? safe : `'${safe.replaceAll("'", "'\\''")}'`;
}
