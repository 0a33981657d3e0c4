/**
 * Ctrl-C and its kin: the first one asks the run to come to its end, the second one ends it. So does an error that
 * nobody caught: what is recorded holds, and what the program would do next cannot be relied upon.
 */
import { type Program, tellDefect } from './defect.ts';

export interface Interruption {
  /** Aborted by the first signal, with the signal's name as its reason. */
  readonly signal: AbortSignal;
  /** What is still to be done when the second one comes, or a defect shows: something quick, done at once. */
  onLeave(leave: () => void): void;
  /** Signals do what they do by default again. */
  end(): void;
}

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 143 } as const;
type Signal = keyof typeof EXIT_CODES;
const SIGNALS: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

export function exitCodeOf(signal: 'SIGINT' | 'SIGTERM'): 130 | 143 {
  return EXIT_CODES[signal];
}

/** A terminal that was hung up (SIGHUP) counts as a request to end, as SIGTERM does. */
export function watchSignals(program: Program = 's3migrate'): Interruption {
  const controller = new AbortController();
  const leaving: (() => void)[] = [];
  const onSignal = (signal: Signal): void => {
    if (!controller.signal.aborted) {
      controller.abort(signal === 'SIGHUP' ? 'SIGTERM' : signal);
      return;
    }
    for (const leave of leaving) leave();
    process.exit(EXIT_CODES[signal]);
  };
  const onDefect = (error: unknown): void => {
    for (const leave of leaving) leave();
    process.exit(tellDefect(error, program));
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  // Rejections that nobody handles come here too.
  process.on('uncaughtException', onDefect);
  return {
    signal: controller.signal,
    onLeave: (leave) => void leaving.push(leave),
    end: () => {
      for (const signal of SIGNALS) process.off(signal, onSignal);
      process.off('uncaughtException', onDefect);
    },
  };
}
