/**
 * An error that nothing of the program expected: a defect. It is told with what a report needs, and ends the program
 * with 3: 1 would say that a run had come to its end.
 */
import { displayText } from '../object-key.ts';
import { stopping } from '../run-inputs.ts';

/** The names of the commands; they stand before what they say. */
export type Program = 's3migrate' | 's3find';

/** @returns the exit code */
export function tellDefect(error: unknown, program: Program = 's3migrate'): 3 {
  const { message, hint } = stopping(error);
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const frames = stack.split('\n').filter((line) => /^ +at /.test(line));
  const lines = [`${program}: ${displayText(message)}`, `  ${hint}`, ...frames.map(displayText)];
  process.stderr.write(`${lines.join('\n')}\n`);
  return 3;
}
