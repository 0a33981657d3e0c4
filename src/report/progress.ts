/**
 * Shows a run while it runs: one line redrawn in place on a terminal, a plain line now and then in a
 * file or pipe.
 *
 * Showing is never in the way of the run: timers do not keep the process alive, no signal handler is
 * installed, no mode of the terminal is changed (so nothing needs to be restored after a kill), and a
 * stream that breaks (EPIPE, a terminal hung up) is written to no more.
 */
import { type Options, SingleBar } from 'cli-progress';
import type { Counters } from '../domain.ts';
import { displayText } from '../object-key.ts';
import { formatProgressLine, type ProgressSample } from './progress-line.ts';
import { ProgressSampler } from './progress-sampler.ts';

/** Standard error, or what looks like it. `columns` is read for each line, so a resize counts at once. */
interface ProgressStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  /** Bytes that the terminal has not taken yet. */
  readonly writableLength?: number;
}

export interface ProgressOptions {
  /** Sampled, never changed. */
  readonly counters: Readonly<Counters>;
  /** Stays open; the caller owns it. Its errors are handled here, also after `stop`. */
  readonly stream: ProgressStream;
  /** A monotonic clock, in ms. */
  readonly now: () => number;
  /** Said at the end of the line, such as the key everything waits for; asked for each line. */
  readonly note?: () => string | undefined;
  /** List bytes before the first key of a resumed run; asked for each line. 0 by default. */
  readonly listBytesAtStart?: () => number;
  /** Time between plain lines, in ms; 30 s by default. */
  readonly plainEveryMs?: number | undefined;
}

export interface Progress {
  /** Prints a line of its own, above the progress line. At any time, also after `stop`. */
  message(text: string): void;
  /** Shows the last figures and leaves them there. Calling it again does nothing. */
  stop(): void;
}

const DEFAULT_PLAIN_EVERY_MS = 30_000;
const REDRAWS_PER_SECOND = 5;

/** Starts at once; call `stop` before anything else writes to the stream. */
export function startProgress(options: ProgressOptions): Progress {
  const { counters, stream, now, note, listBytesAtStart = () => 0, plainEveryMs } = options;
  const sampler = new ProgressSampler({ counters, now, listBytesAtStart });
  return showLine({
    stream,
    line: (state, columns) =>
      formatProgressLine({ ...sampler.sample(state), note: note?.() }, columns),
    plainEveryMs,
  });
}

export interface LineOptions extends Pick<ProgressOptions, 'stream' | 'plainEveryMs'> {
  /** The line as it is now, cut to so many display columns. */
  readonly line: LineNow;
}

type LineNow = (state: ProgressSample['state'], columns?: number) => string;

/** Shows a line that changes, for as long as something goes on. */
export function showLine({
  stream,
  line,
  plainEveryMs = DEFAULT_PLAIN_EVERY_MS,
}: LineOptions): Progress {
  const display =
    stream.isTTY === true ? drawInPlace(stream, line) : printPlainLines(stream, line, plainEveryMs);

  let broken = false;
  let stopped = false;
  function stop(): void {
    if (stopped) return;
    stopped = true;
    display.stop();
  }
  // Stays after `stop`: a stream reports the failure of the last write later.
  stream.on('error', () => {
    broken = true;
    stop();
  });
  return {
    message(text) {
      if (!broken) display.message(displayText(text));
    },
    stop,
  };
}

function printPlainLines(stream: ProgressStream, line: LineNow, everyMs: number): Progress {
  const print = (state: ProgressSample['state']): void => {
    stream.write(`${line(state)}\n`);
  };
  const timer = setInterval(print, everyMs, 'running').unref();
  return {
    message(text) {
      stream.write(`${text}\n`);
    },
    stop() {
      clearInterval(timer);
      print('ended');
    },
  };
}

const TO_LINE_START = '\r';
const CLEAR_LINE = '\x1b[K';
const SAVE_CURSOR = '\x1b7';

function drawInPlace(stream: ProgressStream, line: LineNow): Progress {
  let state: ProgressSample['state'] = 'running';
  const isBehind = (): boolean => state === 'running' && (stream.writableLength ?? 0) > 0;
  const bar = new ConsiderateBar(isBehind, {
    stream,
    fps: REDRAWS_PER_SECOND,
    // The last column stays free: after a character in it, the terminals differ in where the cursor is.
    format: (_options, { maxWidth }) => line(state, maxWidth - 1),
    // Anything else would switch the terminal's wrapping off, which a kill would leave off.
    linewrap: true,
    gracefulExit: false,
    // A message above has wiped the line, so it has to be drawn even when it is the same.
    forceRedraw: true,
  });
  bar.start(1, 0);
  return {
    message(text) {
      stream.write(`${TO_LINE_START}${CLEAR_LINE}${text}\n`);
      if (bar.isActive) bar.render();
    },
    stop() {
      state = 'ended';
      // The bar ends by going back to where it began, which is another row after a message.
      stream.write(`${TO_LINE_START}${SAVE_CURSOR}`);
      bar.stop();
    },
  };
}

/**
 * A bar whose redraw timer does not keep the process alive, and that draws nothing on a terminal that was stopped.
 * cli-progress 3.12 has no options for either.
 */
class ConsiderateBar extends SingleBar {
  declare timer: NodeJS.Timeout | null;
  readonly #isBehind: () => boolean;

  constructor(isBehind: () => boolean, options: Options) {
    super(options);
    this.#isBehind = isBehind;
  }

  override render(): void {
    if (this.#isBehind()) {
      clearTimeout(this.timer ?? undefined);
      this.timer = setTimeout(() => this.render(), 1_000 / REDRAWS_PER_SECOND);
    } else super.render();
    this.timer?.unref();
  }
}
